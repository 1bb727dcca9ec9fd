-- SFT examples of a confident majority, fewer of easy prompts (head) and more of hard ones (tail).
--
-- Sampling the same number of times leaves most right answers on easy prompts, round after round.
-- How hard a prompt is, is read off the vote share of its majority: head_share or more is easy,
-- tail_share or less is hard. Kept is a sample of the majority answer, at most head_per_prompt of
-- an easy, tail_per_prompt of a hard and middle_per_prompt of another prompt, picked by seed; of
-- equal texts one stays. Prompts below min_share, above max_share (1 keeps all), with a tie or
-- with fewer than min_votes votes for the majority are left out.
-- Source of the problem: tail narrowing, arXiv 2411.00750; the two caps are ours.
-- Reasons: tie, few_votes, low_vote_share, too_easy, minority_answer, over_difficulty_cap;
-- duplicate_text, over_prompt_cap.
--
-- Reads candidates, votes. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE min_share = 0.3;        -- DOUBLE in [0, 1]: smallest share of a majority
SET VARIABLE max_share = 1.0;        -- DOUBLE in [0, 1]: largest share of a majority
SET VARIABLE min_votes = 2;          -- INTEGER in [1, inf]: smallest number of votes of one
SET VARIABLE head_share = 0.9;       -- DOUBLE in [0, 1]: from this share on a prompt is easy
SET VARIABLE tail_share = 0.5;       -- DOUBLE in [0, 1]: up to this share a prompt is hard
SET VARIABLE head_per_prompt = 1;    -- INTEGER in [1, inf]: most examples of an easy prompt
SET VARIABLE middle_per_prompt = 4;  -- INTEGER in [1, inf]: most examples of one in between
SET VARIABLE tail_per_prompt = 8;    -- INTEGER in [1, inf]: most examples of a hard prompt
SET VARIABLE max_per_prompt = 2147483647;  -- INTEGER in [1, inf]: most examples of any prompt

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
),
agreed AS (
    SELECT
        c.sample,
        c.prompt,
        c.text_key,
        pick(c.sample_id) AS pick,
        CASE
            -- The tolerance keeps 7 of 10 on the right side of 0.7 in floating point.
            WHEN m.share + 1e-9 >= getvariable('head_share') THEN getvariable('head_per_prompt')
            WHEN m.share - 1e-9 <= getvariable('tail_share') THEN getvariable('tail_per_prompt')
            ELSE getvariable('middle_per_prompt')
        END AS cap,
        CASE
            WHEN c.reason IS NOT NULL THEN c.reason
            WHEN m.is_tied THEN 'tie'
            WHEN m.count < getvariable('min_votes') THEN 'few_votes'
            WHEN m.share + 1e-9 < getvariable('min_share') THEN 'low_vote_share'
            WHEN m.share - 1e-9 > getvariable('max_share') THEN 'too_easy'
            WHEN c.answer <> m.answer THEN 'minority_answer'
        END AS reason
    FROM candidates AS c
    LEFT JOIN majorities AS m ON m.prompt = c.prompt
),
texts AS (
    SELECT prompt, text_key, min(pick) AS pick
    FROM agreed
    WHERE reason IS NULL
    GROUP BY prompt, text_key
),
ranked AS (
    SELECT
        prompt,
        text_key,
        row_number() OVER (PARTITION BY prompt ORDER BY pick, text_key) AS place
    FROM texts
)
SELECT
    a.sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN a.reason IS NOT NULL THEN a.reason
        WHEN r.place > a.cap THEN 'over_difficulty_cap'
    END AS reason
FROM agreed AS a
LEFT JOIN ranked AS r ON r.prompt = a.prompt AND r.text_key = a.text_key;
