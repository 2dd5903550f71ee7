"""A BERT-style checkpoint small enough to write in every test run, in the published layout."""

from pathlib import Path

WORDS = "walk jump spin bow left right wave hand a the person".split()


def write_text_checkpoint(folder: Path, layers: int = 4, seed: int = 0) -> Path:
    """config.json, weights, vocabulary and tokenizer of a random little BERT."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    sizes = BertConfig(
        vocab_size=len(WORDS) + 5, hidden_size=16, num_hidden_layers=layers,
        num_attention_heads=2, intermediate_size=32,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(sizes, add_pooling_layer=False).save_pretrained(folder)
    return folder
