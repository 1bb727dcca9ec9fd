-- SFT examples: every sample, whatever it says, but for what filters and dedup dropped (SELF-GUIDE,
-- arXiv 2407.12874).
--
-- There is neither vote nor score behind these rows: they are as good as the filters before them.
-- A sample without an answer counts, unless needs_answer. Of equal texts one stays.
-- Reasons: other_problems (of a problem that is not asked for); duplicate_text, over_prompt_cap.
--
-- Reads candidates, prompts. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE problems = 'all';      -- VARCHAR in {all, made}: whose answers; made: self-made problems'
SET VARIABLE needs_answer = TRUE;   -- BOOLEAN: whether a sample without an answer is no use
SET VARIABLE max_per_prompt = 4;    -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH asked AS (
    SELECT hash(id) AS prompt, any_value(source) AS source
    FROM prompts
    WHERE run = getvariable('run') AND round = getvariable('round')
    GROUP BY id
)
SELECT
    c.sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN c.reason IS NOT NULL
            AND (getvariable('needs_answer') OR c.reason NOT IN ('no_answer', 'not_checked'))
            THEN c.reason
        WHEN getvariable('problems') = 'made' AND a.source = 'seed' THEN 'other_problems'
    END AS reason
FROM candidates AS c
LEFT JOIN asked AS a ON a.prompt = c.prompt;
