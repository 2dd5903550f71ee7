"""The files of the live viewer, as the HTTP side answers them; what they show is in `live_feed`."""

from pathlib import Path

VIEWER = Path(__file__).parents[1] / "assets" / "viewer"

VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page fetches from this server and from nowhere else."""

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "/viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "/three.min.js": ("three.min.js", "text/javascript; charset=utf-8"),
}


def viewer_file(path: str) -> tuple[str, bytes] | None:
    """Content type and bytes of one file of the page; None if it has no such file."""
    if path not in _FILES:
        return None
    name, content_type = _FILES[path]
    return content_type, (VIEWER / name).read_bytes()
