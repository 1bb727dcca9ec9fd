-- SFT examples: every answer that can be used, whatever it says (Self-Align, arXiv 2305.03047).
--
-- For answers that are good because of how they were asked for. Of equal texts one stays; at most
-- max_per_prompt stay per prompt, picked by seed. A sample without an answer counts, unless
-- needs_answer: open answers have none.
-- Reasons: duplicate_text, over_prompt_cap.
--
-- Reads candidates. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE needs_answer = FALSE;  -- BOOLEAN: whether a sample without an answer is no use
SET VARIABLE max_per_prompt = 1;    -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN reason IN ('no_answer', 'not_checked') AND NOT getvariable('needs_answer') THEN NULL
        ELSE reason
    END AS reason
FROM candidates;
