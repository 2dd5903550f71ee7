"""Text from files and from the network, made safe for a terminal."""


def printable(text: str) -> str:
    """Return a text in which control codes are escaped, so that a terminal does not obey them."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
