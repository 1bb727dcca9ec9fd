-- SFT examples: every sample that agrees with a confident majority (LMSI, arXiv 2210.11610).
--
-- Keeps a sample whose answer is the prompt's most voted one, if that answer has at least
-- min_votes votes and a share of at least min_share of the prompt's samples (those without an
-- answer count too), and no other answer has as many votes. Of equal texts one stays; at most
-- max_per_prompt stay per prompt, picked by seed.
-- Reasons: tie, few_votes, low_vote_share, minority_answer; duplicate_text, over_prompt_cap.
--
-- Reads candidates, votes. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE min_share = 0.5;     -- DOUBLE in [0, 1]: smallest share of a confident majority
SET VARIABLE min_votes = 2;       -- INTEGER in [1, inf]: smallest number of votes of one
SET VARIABLE max_per_prompt = 4;  -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH majorities AS (
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
        WHEN m.is_tied THEN 'tie'
        WHEN m.count < getvariable('min_votes') THEN 'few_votes'
        -- The tolerance keeps 7 of 10 above 0.7 in floating point.
        WHEN m.share + 1e-9 < getvariable('min_share') THEN 'low_vote_share'
        WHEN c.answer <> m.answer THEN 'minority_answer'
    END AS reason
FROM candidates AS c
LEFT JOIN majorities AS m ON m.prompt = c.prompt;
