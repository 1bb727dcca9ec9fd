-- SFT examples: samples whose answer is the reference answer (ReST-EM, arXiv 2312.06585).
--
-- Keeps a sample whose reference score is 1. Of equal texts one stays; at most max_per_prompt
-- stay per prompt, picked by seed (the paper keeps 10).
-- Reasons: no_reference, wrong_answer; duplicate_text, over_prompt_cap.
--
-- Reads candidates. Writes the temporary table `judged`.
-- Table: examples
-- References: yes
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE max_per_prompt = 10;  -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN reason IS NOT NULL THEN reason
        WHEN reference IS NULL THEN 'no_reference'
        WHEN reference < 1 THEN 'wrong_answer'
    END AS reason
FROM candidates;
