-- Preference pairs: the most voted answer over the least voted one (ScPO, arXiv 2411.04109).
--
-- A chosen completion is a sample of the prompt's most voted answer, a rejected one a sample of its
-- least voted answer (the last rank: ties follow the answer's text). The prompt is kept if the
-- most voted answer has a share of at least min_share (tau) of the prompt's k samples; the weight
-- is (V(chosen) - V(rejected)) / k, or 1 where weighted is off. A sample without an answer is on neither side, but counts in k.
-- Reasons: no_counterpart, tie, low_vote_share, middle_answer; see pair_up.sql for the rest.
--
-- Reads candidates, votes. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE min_share = 0.5;   -- DOUBLE in [0, 1]: tau, the share that the most voted answer needs
SET VARIABLE max_pairs = 1;     -- INTEGER in [1, inf]: most pairs of one prompt
SET VARIABLE weighted = TRUE;   -- BOOLEAN: whether a pair weighs its margin; else all weigh 1

CREATE OR REPLACE TEMP TABLE judged AS
WITH prompts_voted AS (
    SELECT
        hash(prompt_id) AS prompt,
        count(*) AS num_answers,
        min_by(answer, rank) AS best,
        max_by(answer, rank) AS worst,
        max(share) AS best_share,
        max(share) - min(share) AS margin
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round')
    GROUP BY prompt_id
)
SELECT
    c.sample,
    CASE c.answer WHEN v.best THEN 'chosen' WHEN v.worst THEN 'rejected' END AS side,
    CASE WHEN getvariable('weighted') THEN v.margin ELSE 1.0 END AS weight,
    v.margin AS margin,
    CASE
        WHEN c.reason IS NOT NULL THEN c.reason
        WHEN v.num_answers = 1 THEN 'no_counterpart'
        WHEN v.margin < 1e-9 THEN 'tie'
        -- The tolerance keeps 7 of 10 above 0.7 in floating point.
        WHEN v.best_share + 1e-9 < getvariable('min_share') THEN 'low_vote_share'
        WHEN c.answer NOT IN (v.best, v.worst) THEN 'middle_answer'
    END AS reason
FROM candidates AS c
LEFT JOIN prompts_voted AS v ON v.prompt = c.prompt;
