-- answers: what every checked sample answered, and whether that is right; one row per sample.
--
-- Outages are no answers: where a check failed, its column is null. Where a check judged a sample
-- in several versions, the newest version counts.
CREATE VIEW answers AS
WITH checked AS (
    SELECT
        run,
        round,
        sample_id,
        -- In a struct, because arg_max passes over null values.
        arg_max({'label': label}, version)
            FILTER (WHERE "check" = 'answer' AND status = 'ok').label AS answer,
        arg_max(value, version)
            FILTER (WHERE "check" = 'reference' AND status = 'ok') >= 1 AS is_right
    FROM scores
    WHERE "check" IN ('answer', 'reference')
    GROUP BY run, round, sample_id
)
SELECT
    checked.run,
    checked.round,
    checked.sample_id,
    samples.prompt_id,
    samples.purpose,
    samples.policy_id,
    checked.answer,
    checked.is_right
FROM checked
JOIN samples
    ON samples.run = checked.run AND samples.round = checked.round
    AND samples.id = checked.sample_id;

COMMENT ON VIEW answers IS 'What every checked sample answered, and whether that is right.';
COMMENT ON COLUMN answers.run IS 'Run of the sample.';
COMMENT ON COLUMN answers.round IS 'Its round.';
COMMENT ON COLUMN answers.sample_id IS 'The sample.';
COMMENT ON COLUMN answers.prompt_id IS 'Prompt that it answers.';
COMMENT ON COLUMN answers.purpose IS 'What it was drawn for: train, evaluate or imported.';
COMMENT ON COLUMN answers.policy_id IS 'Model that wrote it.';
COMMENT ON COLUMN answers.answer IS 'Canonical answer; null where none was found.';
COMMENT ON COLUMN answers.is_right IS
    'Whether it is the reference answer; null where there is no reference, or the check failed.';
