-- Preference pairs: what one policy wrote over what another wrote (SPIN, arXiv 2401.01335).
--
-- A chosen completion is a sample of chosen_policy ('labelled' where the environment wrote the
-- answers), a rejected one a sample of rejected_policy (empty: of any other) with another text than
-- all chosen ones. Nobody looks at answers, unless needs_answer: then a chosen sample without one is
-- no use.
-- Reasons: other_policy, same_text (as a chosen sample has); see pair_up.sql for the rest.
--
-- Reads candidates, samples. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE chosen_policy = 'labelled';  -- VARCHAR: policy_id of the samples that are preferred
SET VARIABLE rejected_policy = '';        -- VARCHAR: policy_id of the others; empty for any
SET VARIABLE needs_answer = FALSE;        -- BOOLEAN: whether a chosen sample needs an answer
SET VARIABLE max_pairs = 1;               -- INTEGER in [1, inf]: most pairs of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH authors AS (
    SELECT
        hash(id) AS sample,
        CASE
            WHEN policy_id = getvariable('chosen_policy') THEN 'chosen'
            WHEN getvariable('rejected_policy') IN ('', policy_id) THEN 'rejected'
        END AS side
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
),
sided AS (
    SELECT
        c.*,
        a.side,
        bool_or(coalesce(a.side = 'chosen', FALSE)) OVER (
            PARTITION BY c.prompt, c.text_key
        ) AS is_chosen_text
    FROM candidates AS c
    JOIN authors AS a ON a.sample = c.sample
)
SELECT
    sample,
    side,
    1.0::DOUBLE AS weight,
    1.0::DOUBLE AS margin,
    CASE
        WHEN side IS NULL THEN 'other_policy'
        WHEN reason IS NOT NULL AND NOT (
            (reason IN ('no_answer', 'not_checked') OR starts_with(reason, 'execution_'))
            AND (side = 'rejected' OR NOT getvariable('needs_answer'))
        ) THEN reason
        WHEN side = 'rejected' AND is_chosen_text THEN 'same_text'
    END AS reason
FROM sided;
