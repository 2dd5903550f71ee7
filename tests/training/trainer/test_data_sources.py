"""Which data a run learns from, and what its weights may be used for."""

from training.trainer.data_sources import licence_of_weights


def test_the_licence_of_weights_follows_their_data() -> None:
    free, paid = {"cmu": "CMU terms", "x": "MIT"}, {"bandai1": "CC BY-NC 4.0 (Bandai Namco)"}
    assert licence_of_weights(free) == "commercial use allowed; trained on cmu, x, see the card"
    assert licence_of_weights(free | paid).startswith("non-commercial use only")
