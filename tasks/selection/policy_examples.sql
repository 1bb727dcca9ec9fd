-- SFT examples: what one policy wrote, right or wrong ('labelled': the environment's own solutions).
--
-- A sample without an answer is no use if needs_answer.
-- Reasons: other_policy; see pick_examples.sql for the rest.
--
-- Reads candidates, samples. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE policy = 'labelled';         -- VARCHAR: policy_id of the samples that are learned
SET VARIABLE needs_answer = FALSE;        -- BOOLEAN: whether a sample needs an answer
SET VARIABLE max_per_prompt = 2147483647; -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH authors AS (
    SELECT hash(id) AS sample, policy_id
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
)
SELECT
    c.sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN a.policy_id <> getvariable('policy') THEN 'other_policy'
        WHEN NOT getvariable('needs_answer')
            AND (c.reason IN ('no_answer', 'not_checked') OR starts_with(c.reason, 'execution_'))
            THEN NULL
        ELSE c.reason
    END AS reason
FROM candidates AS c
JOIN authors AS a ON a.sample = c.sample;
