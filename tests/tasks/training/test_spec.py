import pytest
from pydantic import ValidationError

from tasks.training import TrainingSpec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 10, "gradient_accumulation": 3}, "does not divide"),
        ({"lora_alpha": 16}, "without lora_r"),
        ({"method": "sft", "nll_weight": 1.0}, "belongs to method 'dpo'"),
        ({"learning_rate": 0}, "greater than 0"),
        ({"no_such_field": 1}, "no_such_field"),
    ],
)
def test_settings_that_make_no_run_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        TrainingSpec(**fields)


def test_every_field_explains_itself_in_the_form():
    properties = TrainingSpec.model_json_schema()["properties"]
    assert [name for name, field in properties.items() if not field.get("description")] == []
