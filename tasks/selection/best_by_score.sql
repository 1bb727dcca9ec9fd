-- SFT examples: the best scored samples of each prompt above a threshold (B-STaR, arXiv 2412.17256).
--
-- A sample's score is the mean of its scores of one check. It is kept if it is min_score or more and
-- among the `top` highest of its prompt; equal texts count once, equal scores follow the pick.
-- A sample without an answer counts, unless needs_answer: a judge also reads open answers.
-- Reasons: no_score, low_score, not_among_top; duplicate_text, over_prompt_cap.
--
-- Reads candidates, scores. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE check_name = 'judge';       -- VARCHAR: the check whose scores are compared
SET VARIABLE min_score = 0.0;       -- DOUBLE in [-inf, inf]: smallest score that is kept
SET VARIABLE top = 4;               -- INTEGER in [1, inf]: how many of a prompt are kept
SET VARIABLE needs_answer = FALSE;  -- BOOLEAN: whether a sample without an answer is no use
SET VARIABLE max_per_prompt = 2147483647;  -- INTEGER in [1, inf]: `top` is the cap

CREATE OR REPLACE TEMP TABLE judged AS
WITH scored AS (
    SELECT hash(sample_id) AS sample, avg(value) AS score
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('check_name') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
graded AS (
    SELECT
        c.sample,
        c.prompt,
        c.text_key,
        s.score,
        pick(c.sample_id) AS pick,
        CASE
            WHEN c.reason IN ('no_answer', 'not_checked') AND NOT getvariable('needs_answer')
                THEN NULL
            ELSE c.reason
        END AS reason
    FROM candidates AS c
    LEFT JOIN scored AS s ON s.sample = c.sample
),
texts AS (
    SELECT prompt, text_key, max(score) AS score, min(pick) AS pick
    FROM graded
    WHERE reason IS NULL AND score >= getvariable('min_score')
    GROUP BY prompt, text_key
),
ranked AS (
    SELECT
        prompt,
        text_key,
        row_number() OVER (PARTITION BY prompt ORDER BY score DESC, pick, text_key) AS place
    FROM texts
)
SELECT
    g.sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN g.reason IS NOT NULL THEN g.reason
        WHEN g.score IS NULL THEN 'no_score'
        WHEN g.score < getvariable('min_score') THEN 'low_score'
        WHEN r.place > getvariable('top') THEN 'not_among_top'
    END AS reason
FROM graded AS g
LEFT JOIN ranked AS r ON r.prompt = g.prompt AND r.text_key = g.text_key;
