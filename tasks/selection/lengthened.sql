-- SFT examples: the longest extension of an answer, for the question alone (Self-Lengthen, arXiv
-- 2410.23933).
--
-- An extension is a sample of turn 1 or later that was made of another one (parent_ids). It is kept
-- if it has at least min_ratio times the tokens of the answer that its chain began with, was not cut
-- off, and is the longest such one of its prompt; of equally long ones the pick decides.
-- A sample without an answer counts, unless needs_answer: long texts are no answers and no programs.
-- Reasons: not_extended (the first answers), truncated, not_longer, not_longest; duplicate_text,
-- over_prompt_cap.
--
-- Reads candidates, samples. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE min_ratio = 1.5;              -- DOUBLE in [0, inf]: fewest tokens, against the first answer
SET VARIABLE needs_answer = FALSE;         -- BOOLEAN: whether a sample without an answer is no use
SET VARIABLE max_per_prompt = 1;           -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH own AS (
    SELECT id, parent_ids, turn, num_tokens, finish_reason
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program')
),
first_answers AS (
    SELECT e.id, min(f.num_tokens) AS num_tokens
    FROM (SELECT id, unnest(parent_ids) AS parent_id FROM own WHERE turn > 0) AS e
    JOIN own AS f ON f.id = e.parent_id AND f.turn = 0
    GROUP BY e.id
),
told AS (
    SELECT
        c.sample,
        c.prompt,
        o.num_tokens,
        pick(c.sample_id) AS pick,
        CASE
            WHEN c.reason IS NOT NULL
                AND (
                    getvariable('needs_answer')
                    OR c.reason NOT IN ('no_answer', 'not_checked')
                    AND NOT starts_with(c.reason, 'execution_')
                )
                THEN c.reason
            WHEN f.id IS NULL THEN 'not_extended'
            WHEN o.finish_reason <> 'stop' THEN 'truncated'
            WHEN o.num_tokens < getvariable('min_ratio') * f.num_tokens THEN 'not_longer'
        END AS reason
    FROM candidates AS c
    JOIN own AS o ON o.id = c.sample_id
    LEFT JOIN first_answers AS f ON f.id = c.sample_id
)
SELECT
    sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN reason IS NOT NULL THEN reason
        WHEN row_number() OVER (
            PARTITION BY prompt, reason IS NULL ORDER BY num_tokens DESC, pick
        ) > 1 THEN 'not_longest'
    END AS reason
FROM told;
