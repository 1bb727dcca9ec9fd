-- SFT examples: verified answers, and where nothing verifies, a confident majority's (LADDER, arXiv
-- 2503.00735).
--
-- A sample that the environment verified (scores, check 'verified') is kept if it is right. One of a
-- problem that no environment can work out is kept if its answer is the most voted one, with at
-- least min_votes votes and a share of at least min_share, and no other answer has as many votes.
-- Reasons: verified_wrong, tie, few_votes, low_vote_share, minority_answer; duplicate_text,
-- over_prompt_cap.
--
-- Reads candidates, scores, votes. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE min_share = 0.5;          -- DOUBLE in [0, 1]: smallest share of a confident majority
SET VARIABLE min_votes = 2;            -- INTEGER in [1, inf]: smallest number of votes of one
SET VARIABLE max_per_prompt = 4;       -- INTEGER in [1, inf]: most examples of one prompt
SET VARIABLE check_name = 'verified';  -- VARCHAR: the check that verifies

CREATE OR REPLACE TEMP TABLE judged AS
WITH verified AS (
    SELECT hash(sample_id) AS sample, min(value) AS value
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('check_name') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
majorities AS (
    SELECT
        hash(prompt_id) AS prompt,
        max(answer) FILTER (rank = 1) AS answer,
        max(count) FILTER (rank = 1) AS count,
        max(share) FILTER (rank = 1) AS share,
        count(DISTINCT weight) < count(*) AS is_tied
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round') AND rank <= 2
    GROUP BY prompt_id
)
SELECT
    c.sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN c.reason IS NOT NULL THEN c.reason
        WHEN v.value < 1 THEN 'verified_wrong'
        WHEN v.value >= 1 THEN NULL
        WHEN m.is_tied THEN 'tie'
        WHEN m.count < getvariable('min_votes') THEN 'few_votes'
        -- The tolerance keeps 7 of 10 above 0.7 in floating point.
        WHEN m.share + 1e-9 < getvariable('min_share') THEN 'low_vote_share'
        WHEN c.answer <> m.answer THEN 'minority_answer'
    END AS reason
FROM candidates AS c
LEFT JOIN verified AS v ON v.sample = c.sample
LEFT JOIN majorities AS m ON m.prompt = c.prompt;
