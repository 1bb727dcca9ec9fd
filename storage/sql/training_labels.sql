-- training_labels: every training row with the label that it teaches, one row per training row.
--
-- The label is the canonical answer of the sample that the row holds up as good; a labeled row that
-- is held up as bad has 'not ' before it. Where no answer is known, the completion is the label.
CREATE VIEW training_labels AS
WITH good AS (
    SELECT
        'examples' AS table_name, id, run, round, prompt_id, sample_ids[1] AS sample_id,
        completion[-1].content AS text, weight, true AS is_good
    FROM examples
    UNION ALL
    SELECT
        'pairs', id, run, round, prompt_id, chosen_sample_id, chosen[-1].content, weight, true
    FROM pairs
    UNION ALL
    SELECT
        'labels', id, run, round, prompt_id, sample_ids[1], completion[-1].content, weight, label
    FROM labels
)
SELECT
    good.table_name,
    good.id,
    good.run,
    good.round,
    good.prompt_id,
    CASE WHEN is_good THEN '' ELSE 'not ' END || coalesce(answers.answer, good.text) AS label,
    good.text,
    good.weight
FROM good
LEFT JOIN answers
    ON answers.run = good.run AND answers.round = good.round
    AND answers.sample_id = good.sample_id;

COMMENT ON VIEW training_labels IS 'Every training row with the label that it teaches.';
COMMENT ON COLUMN training_labels.table_name IS 'Table of the row: examples, pairs or labels.';
COMMENT ON COLUMN training_labels.id IS 'Its id there.';
COMMENT ON COLUMN training_labels.run IS 'Its run.';
COMMENT ON COLUMN training_labels.round IS 'Its round.';
COMMENT ON COLUMN training_labels.prompt_id IS 'Prompt that it is about.';
COMMENT ON COLUMN training_labels.label IS
    'Canonical answer that it holds up as good, ''not '' and the answer for a bad one, or the text.';
COMMENT ON COLUMN training_labels.text IS 'The completion, or the chosen one of a pair.';
COMMENT ON COLUMN training_labels.weight IS 'Weight in the loss.';
