-- First step of every selection: the samples that could become training rows, one row each.
--
-- A candidate is a sample with purpose 'train' or 'imported' and role 'answer' or 'program', or of
-- another role and drawn as `sampling` says: a judgement, a critique, a refinement. Those of one
-- question belong together: of one prompt, and one prompt with the same parents for other roles.
-- `reason` says why a sample can't be used whatever the selection: it failed by our fault
-- (sample_error, check_error), nobody looked for its answer (not_checked), the sandbox stopped its
-- program (execution_<verdict>), or it has no answer (no_answer; an empty one is none).
-- `reference` is 1 or 0 where the reference score may be used and exists, else null. A sample that
-- tasks/dedup dropped before is no candidate: it is in `rejections` already.
--
-- `sample` and `prompt` are 64-bit hashes of the ids: later steps join on them, because joining
-- numbers takes half the time and a quarter of the memory of joining ids. select.py refuses a round
-- in which two samples share one (once in 400,000 rounds of ten million samples).
-- `text_key` is the hash of the text without the spaces around it. The macro `pick(sample_id)` is
-- the reproducible coin: a number that depends on the sample and the seed only, and orders samples
-- wherever one is chosen.
--
-- Reads samples, scores, executions, rejections. Writes the temporary table `candidates`.
-- References: no
-- Columns: sample, prompt, sample_id, prompt_id, text_key, answer, reference, reason
-- Parameters (edit and run by hand; select.py sets its own values):
SET VARIABLE run = 'demo';               -- VARCHAR: the run
SET VARIABLE round = 1;                  -- INTEGER: its round
SET VARIABLE seed = 0;                   -- INTEGER: decides which samples are picked
SET VARIABLE use_references = FALSE;     -- BOOLEAN: whether the reference score may be used
SET VARIABLE role = '';                  -- VARCHAR: role of candidates; empty: answer and program
SET VARIABLE sampling = '';              -- VARCHAR: samples.sampling of those of another role

CREATE OR REPLACE TEMP MACRO pick(id) AS md5_number_lower(id || ':' || getvariable('seed'));

CREATE OR REPLACE TEMP TABLE candidates AS
WITH answer_scores AS (
    SELECT hash(sample_id) AS sample, nullif(label, '') AS label, status
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'answer'
),
reference_scores AS (
    SELECT hash(sample_id) AS sample, value, status
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'reference'
      AND getvariable('use_references')
),
stopped AS (
    SELECT hash(sample_id) AS sample, min(verdict) AS verdict
    FROM executions
    WHERE run = getvariable('run') AND round = getvariable('round') AND verdict <> 'accepted'
      AND len(test_ids) = 0  -- not those against tests that a model wrote
    GROUP BY sample_id
),
dropped_before AS (
    SELECT row_id
    FROM rejections
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND row_table = 'samples' AND starts_with(filter, 'dedup_')
),
drawn AS (
    SELECT
        hash(id) AS sample,
        CASE WHEN getvariable('role') = '' THEN hash(prompt_id) ELSE hash(prompt_id, parent_ids) END
            AS prompt,
        id AS sample_id,
        prompt_id,
        status,
        -- trim() walks through every character; most texts have nothing to trim.
        hash(CASE
            WHEN regexp_matches(text, '^\p{Zs}') OR regexp_matches(text, '\p{Zs}$') THEN trim(text)
            ELSE text
        END) AS text_key
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose IN ('train', 'imported')
      AND CASE WHEN getvariable('role') = '' THEN role IN ('answer', 'program')
          ELSE role = getvariable('role') AND sampling = getvariable('sampling') END
)
SELECT
    s.sample,
    s.prompt,
    s.sample_id,
    s.prompt_id,
    s.text_key,
    a.label AS answer,
    r.value AS reference,
    CASE
        WHEN s.status <> 'ok' THEN 'sample_error'
        WHEN x.verdict IN ('sandbox_fault', 'not_run') THEN 'check_error'
        WHEN a.status <> 'ok' OR r.status <> 'ok' THEN 'check_error'
        WHEN a.label IS NULL AND x.verdict IS NOT NULL THEN 'execution_' || x.verdict
        WHEN a.sample IS NULL THEN 'not_checked'
        WHEN a.label IS NULL THEN 'no_answer'
    END AS reason
FROM drawn AS s
LEFT JOIN answer_scores AS a ON a.sample = s.sample
LEFT JOIN reference_scores AS r ON r.sample = s.sample
LEFT JOIN stopped AS x ON x.sample = s.sample
ANTI JOIN dropped_before AS d ON d.row_id = s.sample_id;
