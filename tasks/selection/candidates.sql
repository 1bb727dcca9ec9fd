-- First step of every selection: the samples that could become training rows, one row each.
--
-- A candidate is a sample with purpose 'train' or 'imported' and role 'answer' or 'program'.
-- `reason` says why a sample can't be used whatever the selection: it failed by our fault
-- (sample_error, check_error), nobody looked for its answer (not_checked), the sandbox stopped its
-- program (execution_<verdict>), or it has no answer (no_answer). `reference` is 1 or 0 where the
-- reference score may be used and exists, else null. `pick` is the reproducible coin: a number
-- that depends on the sample and the seed only, and orders samples wherever one is chosen.
--
-- Reads samples, scores, executions, votes. Writes the temporary table `candidates`.
-- References: no
-- Parameters (edit and run by hand; select.py sets its own values):
SET VARIABLE run = 'demo';               -- VARCHAR: the run
SET VARIABLE round = 1;                  -- INTEGER: its round
SET VARIABLE seed = 0;                   -- INTEGER: decides which samples are picked
SET VARIABLE use_references = FALSE;     -- BOOLEAN: whether the reference score may be used

CREATE OR REPLACE TEMP TABLE candidates AS
WITH answer_scores AS (
    SELECT id, sample_id, label, status
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'answer'
),
reference_scores AS (
    SELECT id, sample_id, value, status
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'reference'
      AND getvariable('use_references')
),
stopped AS (
    SELECT sample_id, min(verdict) AS verdict
    FROM executions
    WHERE run = getvariable('run') AND round = getvariable('round') AND verdict <> 'accepted'
    GROUP BY sample_id
),
ballots AS (
    SELECT id, prompt_id, answer
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round')
)
SELECT
    s.id AS sample_id,
    s.prompt_id,
    md5_number_lower(trim(s.text)) AS text_key,
    md5_number_lower(s.id || ':' || getvariable('seed')) AS pick,
    a.id AS answer_score_id,
    a.label AS answer,
    r.id AS reference_score_id,
    r.value AS reference,
    v.id AS vote_id,
    CASE
        WHEN s.status <> 'ok' THEN 'sample_error'
        WHEN x.verdict IN ('sandbox_fault', 'not_run') THEN 'check_error'
        WHEN a.status <> 'ok' OR r.status <> 'ok' THEN 'check_error'
        WHEN a.label IS NULL AND x.verdict IS NOT NULL THEN 'execution_' || x.verdict
        WHEN a.id IS NULL THEN 'not_checked'
        WHEN a.label IS NULL THEN 'no_answer'
    END AS reason
FROM samples AS s
LEFT JOIN answer_scores AS a ON a.sample_id = s.id
LEFT JOIN reference_scores AS r ON r.sample_id = s.id
LEFT JOIN stopped AS x ON x.sample_id = s.id
LEFT JOIN ballots AS v ON v.prompt_id = s.prompt_id AND v.answer = a.label
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program');
