"""The cost of whole networks is measured on what the experiments run."""

from pdegcnn_lib.companion.bench import networks, report


def test_every_network_gets_its_row():
    names = ("vessels-cnn3-narrow", "vessels-pdegcnn3", "vessels-pdegcnn12-wide")
    result = networks.run(names, seconds=0.05)
    assert [row["variant"] for row in result["networks"]] == list(names)
    assert (
        result["networks"][-1] | {"model": "vessels-pdegcnn12", "parameters": 5152} == result["networks"][-1]
    )
    for row in result["networks"]:
        assert row["step_ms"]["median"] > 0 and row["photograph_ms"]["calls"] >= 3
        assert row["peak_mib"] is None or 5 < row["peak_mib"] < 900
    text = report.networks_as_text(result)
    assert "vessels-pdegcnn3" in text and "1264" in text and "thread" in text
