"""The list of results that the report shows."""

from pathlib import Path

import pytest

from neural_recon.report.files import SubjectFiles, wanted

NAMES = {
    **{"space": ["vdvae", "clip_text"], "table": ["leaks"], "region": ["V1"]},
    "control": ["true_features", "one_of_a_generator_s_own"],
}
ALL = [
    "base",
    "comparison",
    "data_amount",
    "penalties",
    "refits",
    "regions",
    "targets",
]


@pytest.mark.parametrize("having", [[], ["comparison"], ALL])
def test_what_the_rule_asks_for_is_what_the_script_finds(having):
    names = NAMES if "regions" in having else NAMES | {"region": []}
    files = wanted(["subj01", "subj02"], having, names)
    paths = [f"results/mine/{path}" for some in files.values() for path in some]
    assert len(paths) == len(set(paths))
    for subject in ("subj01", "subj02"):
        found = vars(SubjectFiles.among(subject, "results/mine", paths))
        assert found.pop("subject") == subject
        listed = {name: [f"results/mine/{p}" for p in some] for name, some in files.items()}
        for name, value in found.items():
            mine = [
                path for path in listed.get(name, []) if subject in Path(path).parts[2:]
                or Path(path).name.startswith((f"{subject}.", f"{subject}_")) or "/comparison." in path
            ]  # fmt: skip
            there = list(value.values()) if isinstance(value, dict) else [value] if value else []
            assert sorted(map(str, there)) == sorted(mine), name
    assert ("comparison" in files) == ("comparison" in having)


def test_names_are_those_of_the_wildcards():
    paths = [f"r/{path}" for some in wanted(["subj01"], ALL, NAMES).values() for path in some]
    found = SubjectFiles.among("subj01", "r", paths)
    assert list(found.alphas) == NAMES["space"]
    assert found.alphas["vdvae"] == Path("r/ridge/subj01/vdvae/alpha.tsv")
    assert found.controls == {"leaks": Path("r/controls/subj01/leaks.tsv")}
    assert found.painted == {name: Path(f"r/reconstructions/subj01/{name}.h5") for name in NAMES["control"]}
    assert found.region_images == {"V1": Path("r/regions/subj01/V1/base_images.h5")}
    with pytest.raises(TypeError, match="summary"):  # a page without scores is none
        SubjectFiles.among("subj01", "r", [])


def test_what_recipes_share_is_found_in_its_own_folder():
    """Of a recipe in a comparison; whatever else ends alike is none of its files."""
    files = {
        name: files[0]
        for name, files in wanted(
            ["subj01"], [], {"region": [], "space": [], "table": [], "control": []}
        ).items()
        if files
    }
    paths = [f"{'out' if name == 'responses' else 'out/compare/mine'}/{path}" for name, path in files.items()]
    found = SubjectFiles.among("subj01", "out/compare/mine", ["data/voxels/subj01.parquet", *paths], "out")
    assert found.responses.as_posix() == "out/responses/subj01.h5"
    assert found.final.as_posix() == "out/compare/mine/reconstructions/subj01/decoded.h5"
    assert found.voxels.as_posix() == "out/compare/mine/voxels/subj01.parquet"
