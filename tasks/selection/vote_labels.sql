-- Labeled rows: answers of a confident majority are good, all others bad (for KTO, 2402.01306).
--
-- A prompt is used if its most voted answer has a share of at least min_share and no other has as
-- many votes. Every row weighs 1. A sample without an answer is on neither side.
-- Reasons: tie, low_vote_share; see label_up.sql for the rest.
--
-- Reads candidates, votes. Writes the temporary table `judged`.
-- Table: labels
-- References: no
-- After: candidates.sql
-- Before: label_up.sql
-- Columns: sample, side, weight, reason
-- Parameters:
SET VARIABLE min_share = 0.5;     -- DOUBLE in [0, 1]: share that the most voted answer needs
SET VARIABLE max_per_side = 10;   -- INTEGER in [1, inf]: most good and most bad rows of a prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH prompts_voted AS (
    SELECT
        hash(prompt_id) AS prompt,
        min_by(answer, rank) AS best,
        max(share) AS best_share,
        count(*) FILTER (rank = 2) > 0
            AND max(count) = max(count) FILTER (rank = 2) AS is_tie
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round')
    GROUP BY prompt_id
)
SELECT
    c.sample,
    CASE WHEN c.answer = v.best THEN 'chosen' ELSE 'rejected' END AS side,
    1.0::DOUBLE AS weight,
    CASE
        WHEN c.reason IS NOT NULL THEN c.reason
        WHEN v.is_tie THEN 'tie'
        -- The tolerance keeps 7 of 10 above 0.7 in floating point.
        WHEN v.best_share + 1e-9 < getvariable('min_share') THEN 'low_vote_share'
    END AS reason
FROM candidates AS c
LEFT JOIN prompts_voted AS v ON v.prompt = c.prompt;
