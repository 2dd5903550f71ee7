"""Pages quote what was measured, of the weights that ship."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.manifest import read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL
from tests.benchmarks import readme_figures
from tests.benchmarks.readme_figures import STAGES, Measured, Quote
from tests.commands import ROOT
from tests.test_documents import documents, name_of

SHIPPED = read_manifest(DEFAULT_MODEL).sha256[: readme_figures.SHORT_HASH]
AGAIN = "run: python -m tests.benchmarks.readme_figures --mocap DIR --write"
QUOTES = readme_figures.read_quotes()
PAGES = sorted({quote.page for quote in QUOTES})

_NAMED = re.compile(r"`live` `([0-9a-f]{12})`")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_was_measured_with_the_weights_that_ship(stage: str) -> None:
    record = readme_figures.read_record()
    assert record[stage].model == SHIPPED, AGAIN


@pytest.mark.parametrize("page", PAGES)
def test_a_page_quotes_what_was_measured(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    own = [quote for quote in QUOTES if quote.page == page]
    assert text == readme_figures.with_figures(text, own, readme_figures.read_record()), AGAIN


def test_every_model_hash_in_a_page_is_that_of_the_weights_that_ship() -> None:
    pages = {*documents(), *(ROOT / page for page in PAGES)}
    found = {(name_of(page), said) for page in pages for said in _NAMED.findall(page.read_text())}
    assert [(page, said) for page, said in sorted(found) if said != SHIPPED] == [], AGAIN
    assert {page for page, _ in found} >= set(PAGES), "a page with figures names no model"


@pytest.mark.parametrize("stage", [name for name, stage in STAGES.items() if stage.files])
def test_pictures_are_those_that_were_measured(stage: str) -> None:
    for place, sha256 in readme_figures.read_record()[stage].sha256.items():
        assert readme_figures.sha256_of(ROOT / place) == sha256, AGAIN


def measured(model: str, **figures: float) -> Measured:
    return Measured(
        model=model,
        origin="here",
        figures={name.replace("__", "."): value for name, value in figures.items()},
        sha256={},
    )


def test_figures_of_a_record_are_put_between_the_words_of_a_page() -> None:
    quotes = [
        Quote(page="a.md", text="`live` `{model}`"),
        Quote(page="a.md", text="error {.e} mm, found {.found:.0%} %", at="real.plain"),
    ]
    record = {"real": measured("0" * 12, real__plain__e=2.04, real__plain__found=0.987)}
    page = f"`live` `{'f' * 12}`: error 1 mm,\n  found 5 %, and 9 mm"
    shown = readme_figures.with_figures(page, quotes, record)
    assert shown == f"`live` `{'0' * 12}`: error 2.0 mm,\n  found 99 %, and 9 mm"


@pytest.mark.parametrize("page", ["nothing", "1.0 mm and 2.0 mm"])
def test_words_that_do_not_stand_in_a_page_once_are_named(page: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.md has [02] times .* mend the page"):
        Quote(page="a.md", text="{real.e} mm").in_page(page)


def test_a_page_is_left_alone_unless_all_its_stages_are_of_one_model() -> None:
    quotes = [Quote(page="a.md", text="{real.e} {fused.e}")]
    both = {"real": measured("a" * 12, real__e=1), "fused": measured("a" * 12, fused__e=1)}
    assert readme_figures.not_of_one_model(quotes, both) == ""
    mixed = both | {"fused": replace(both["fused"], model="b" * 12)}
    assert "fused is of bbb" in readme_figures.not_of_one_model(quotes, mixed)
    said = readme_figures.not_of_one_model(quotes, {"real": both["real"]})
    assert "fused is of no model; measure them with one: --only real,fused" in said


def test_slow_stages_are_left_out_without_motion_capture() -> None:
    quick = readme_figures.chosen_stages(None, None)
    assert "real" in quick
    assert "bench1" not in quick
    assert readme_figures.chosen_stages(None, Path("mocap")) == list(STAGES)
    assert readme_figures.chosen_stages("fused,demo", None) == ["fused", "demo"]
    with pytest.raises(ConfigError, match="stage bench1 needs motion capture; give --mocap DIR"):
        readme_figures.chosen_stages("bench1", None)
    with pytest.raises(ConfigError, match="no stage 'rael'; expected some of manifest"):
        readme_figures.chosen_stages("rael", None)


def test_a_stage_keeps_the_quoted_figures_of_what_its_command_prints(tmp_path: Path) -> None:
    name = "manifest.model.products.fp32.parity.mean_mm"
    found = readme_figures.measure("manifest", [name], None, tmp_path)
    stored = json.loads((DEFAULT_MODEL / "manifest.json").read_text())
    assert found.model == SHIPPED
    assert found.figures == {
        name: pytest.approx(stored["products"]["fp32"]["parity"]["mean_mm"], rel=1e-5)
    }
    assert found.origin.endswith("cat langpose_rt/assets/live/manifest.json")
    with pytest.raises(ConfigError, match=r"prints no manifest\.model\.none; near it: manifest\."):
        readme_figures.measure("manifest", ["manifest.model.none"], None, tmp_path)
