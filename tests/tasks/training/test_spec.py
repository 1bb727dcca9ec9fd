import pytest
from pydantic import ValidationError

from tasks.training import TrainingSpec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 10, "gradient_accumulation": 3}, "does not divide"),
        ({"lora_alpha": 16}, "without lora_r"),
        ({"method": "sft", "nll_weight": 1.0}, "belongs to method 'dpo'"),
        ({"dpo_loss": "ipo"}, "dpo_loss='ipo' belongs to method 'dpo', and method='sft'"),
        ({"method": "dpo", "dpo_loss": "kto"}, "'sigmoid', 'ipo', 'hinge' or 'sppo'"),
        ({"method": "dpo", "desirable_weight": 2}, "desirable_weight=2.0 belongs to method 'kto'"),
        ({"undesirable_weight": 0.5}, "undesirable_weight=0.5 belongs to method 'kto'"),
        ({"method": "kto", "nll_weight": 1}, "nll_weight=1.0 belongs to method 'dpo'"),
        ({"method": "kto", "batch_size": 4, "gradient_accumulation": 4}, "2 or more"),
        ({"optimizer": "rmsprop", "adam_beta2": 0.98}, "adam_beta2=0.98 belongs to optimizer"),
        ({"optimizer": "adafactor", "adam_beta1": 0.8}, "adam_beta1=0.8 belongs to optimizer"),
        ({"optimizer": "rmsprop", "weight_decay": 0.1}, "weight_decay=0.1: rmsprop has none"),
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
