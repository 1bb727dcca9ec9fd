-- What came of a round's prompts, difficulty by difficulty: one row each, from easy to hard.
--
-- Columns: difficulty (null where prompts have none), num_prompts, num_samples, sample_accuracy,
-- num_selected (training rows), used_share (share of prompts with a training row), label_accuracy
-- (of the selected completions). Accuracies read references, for monitoring only.
-- Parameters:
SET VARIABLE run = 'demo';  -- VARCHAR: the run
SET VARIABLE round = 1;     -- INTEGER: its round

WITH
drawn AS (
    SELECT id, prompt_id FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program')
      AND engine <> 'labelled'
),
levels AS (
    SELECT prompts.id AS prompt_id, any_value(difficulty) AS difficulty
    FROM prompts WHERE run = getvariable('run') AND id IN (SELECT prompt_id FROM drawn)
    GROUP BY prompts.id
),
marks AS (
    SELECT sample_id, max(value) >= 1.0 AS correct FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'reference'
      AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
selected AS (
    SELECT prompt_id, sample_ids[1] AS sample_id FROM examples
    WHERE run = getvariable('run') AND round = getvariable('round')
    UNION ALL
    SELECT prompt_id, chosen_sample_id FROM pairs
    WHERE run = getvariable('run') AND round = getvariable('round')
    UNION ALL
    SELECT prompt_id, CASE WHEN label THEN sample_ids[1] END FROM labels
    WHERE run = getvariable('run') AND round = getvariable('round')
),
of_samples AS (
    SELECT difficulty, count(DISTINCT prompt_id) AS num_prompts, count(*) AS num_samples,
           avg(correct::INT) AS sample_accuracy
    FROM drawn JOIN levels USING (prompt_id) LEFT JOIN marks ON marks.sample_id = drawn.id
    GROUP BY difficulty
),
of_rows AS (
    SELECT difficulty, count(*) AS num_selected, count(DISTINCT prompt_id) AS num_used,
           avg(correct::INT) AS label_accuracy
    FROM selected JOIN levels USING (prompt_id) LEFT JOIN marks USING (sample_id)
    GROUP BY difficulty
)
SELECT s.difficulty, s.num_prompts, s.num_samples, s.sample_accuracy,
       coalesce(r.num_selected, 0) AS num_selected,
       coalesce(r.num_used, 0) / s.num_prompts::DOUBLE AS used_share, r.label_accuracy
FROM of_samples AS s LEFT JOIN of_rows AS r ON r.difficulty IS NOT DISTINCT FROM s.difficulty
ORDER BY s.difficulty NULLS FIRST;
