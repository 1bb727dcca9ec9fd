import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataFormatError, SourceError
from tasks.training import TrainingSpec
from tasks.training.training_data import needed_rows, planned_steps, read_training_rows


def test_the_hash_is_that_of_the_rows_and_not_of_the_file(write_rows, tmp_path):
    file = write_rows("dpo", weight=[0.5] * 24, run=["a"] * 24)
    table = pq.read_table(file)
    halves = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    pq.write_table(table.slice(0, 10).drop_columns(["run"]), halves[0], compression="zstd")
    pq.write_table(table.slice(10), halves[1], row_group_size=3)
    rows = read_training_rows("dpo", [file])
    assert read_training_rows("dpo", halves) == rows
    assert rows.num_rows == 24
    assert read_training_rows("dpo", halves[::-1]).data_hash != rows.data_hash


def test_weights_and_soft_labels_are_one_where_nothing_is_said(write_rows):
    plain = read_training_rows("dpo", [write_rows("dpo")])
    nulls = read_training_rows(
        "dpo", [write_rows("dpo", weight=[None] * 24, soft_label=[1.0] * 23 + [None])]
    )
    assert plain == nulls
    assert plain.columns["weight"] == plain.columns["soft_label"] == [1.0] * 24


def test_a_folder_of_a_warehouse_adds_no_columns(write_rows, tmp_path):
    file = write_rows("sft")
    inside = tmp_path / "run=r" / "round=1" / "part.parquet"
    inside.parent.mkdir(parents=True)
    file.rename(inside)
    assert read_training_rows("sft", [inside]).num_rows == 24


@pytest.mark.parametrize(
    ("method", "columns", "message"),
    [
        ("dpo", {}, "no column 'chosen'"),
        ("sft", {"weight": [1.0] * 23 + [-0.1]}, "row 23: weight=-0.1"),
        ("sft", {"weight": [float("nan")] + [1.0] * 23}, "row 0: weight=nan"),
        ("sft", {"completion": ["text"] * 24}, "row 0, column 'completion': 'text'"),
        ("sft", {"completion": [[]] * 24}, "expected a list of messages"),
    ],
)
def test_rows_that_can_not_be_trained_on_are_named(write_rows, method, columns, message):
    with pytest.raises(DataFormatError, match=message.replace("[", r"\[")):
        read_training_rows(method, [write_rows("sft", **columns)])


def test_soft_labels_are_probabilities(write_rows):
    with pytest.raises(DataFormatError, match=r"soft_label=1\.5.*from 0 to 1"):
        read_training_rows("dpo", [write_rows("dpo", soft_label=[1.5] * 24)])


def test_win_rates_are_read_and_needed_only_where_a_loss_reads_them(write_rows):
    half = [0.5] * 24
    file = write_rows("dpo", chosen_win_rate=[0.9] * 24, rejected_win_rate=[None] * 24)
    rows = read_training_rows("dpo", [file])
    assert rows.columns["chosen_win_rate"] == [0.9] * 24
    assert rows.columns["rejected_win_rate"] == [None] * 24
    needs = TrainingSpec(method="dpo", dpo_loss="sppo").needed_columns
    with pytest.raises(DataFormatError, match="row 0: rejected_win_rate is null"):
        read_training_rows("dpo", [file], needs)
    whole = {"chosen_win_rate": half, "rejected_win_rate": half}
    assert read_training_rows("dpo", [write_rows("dpo", **whole)], needs).num_rows == 24
    with pytest.raises(DataFormatError, match=r"row 2: soft_label=0\.7, but this loss reads win"):
        soft = [1.0, None, 0.7] + [1.0] * 21
        read_training_rows("dpo", [write_rows("dpo", soft_label=soft, **whole)], needs)
    with pytest.raises(DataFormatError, match=r"chosen_win_rate=1\.5.*from 0 to 1"):
        read_training_rows("dpo", [write_rows("dpo", chosen_win_rate=[1.5] * 24)])


def test_labeled_rows_need_their_label(write_rows):
    rows = read_training_rows("kto", [write_rows("kto")])
    assert rows.columns["label"] == [float(i % 3 > 0) for i in range(24)]
    with pytest.raises(DataFormatError, match="row 0: label is null"):
        read_training_rows("kto", [write_rows("sft")])


def test_nothing_to_train_on_is_an_error(write_rows):
    with pytest.raises(DataFormatError, match="no training rows"):
        read_training_rows("sft", [write_rows("sft", num=0)])
    with pytest.raises(DataFormatError, match="no training rows"):
        read_training_rows("sft", [])


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "x.parquet").write_text("nonsense")
    with pytest.raises(SourceError, match=r"x\.parquet"):
        read_training_rows("sft", [tmp_path / "x.parquet"])


@given(num=st.integers(1, 300), steps=st.integers(1, 20), batch=st.integers(1, 40))
def test_a_run_takes_the_rows_that_it_visits(num, steps, batch):
    spec = TrainingSpec(steps=steps, batch_size=batch)
    rows = needed_rows(num, spec)
    assert len(rows) == min(num, steps * batch)
    assert rows == sorted(set(rows))
    assert set(rows) <= set(range(num))
    assert rows == needed_rows(num, spec)


def test_epochs_count_the_smaller_last_batch():
    spec = TrainingSpec(epochs=2, batch_size=10)
    assert planned_steps(20, spec) == 4
    assert planned_steps(21, spec) == 6
    assert planned_steps(3, TrainingSpec(epochs=0.1, batch_size=10)) == 1
