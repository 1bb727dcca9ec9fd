-- Preference pairs: the best scored sample over the worst scored one (SPPO, arXiv 2405.00675).
--
-- A sample's score is the mean of its scores of one check. Chosen are the samples with the prompt's
-- highest score, rejected those with its lowest; pair_up.sql makes at most max_pairs of them. The
-- prompt is kept if the two differ by more than min_margin; the margin is the difference.
-- A sample without an answer counts, and a program that failed, unless needs_answer: a judge also
-- reads open answers, and nothing but texts.
-- With soft_label_check a pair's soft label is what that check says of the chosen sample (CREAM, arXiv
-- 2410.12735: how far two models agree about its prompt).
-- Reasons: no_score, no_counterpart (nothing else is scored), tie, small_margin, middle_score;
-- see pair_up.sql for the rest.
--
-- Reads candidates, scores. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, soft_label, reason
-- Parameters:
SET VARIABLE check_name = 'judge';       -- VARCHAR: the check whose scores are compared
SET VARIABLE min_margin = 0.0;      -- DOUBLE in [0, inf]: the difference has to be larger
SET VARIABLE needs_answer = FALSE;  -- BOOLEAN: whether a sample without an answer is no use
SET VARIABLE max_pairs = 1;         -- INTEGER in [1, inf]: most pairs of one prompt
SET VARIABLE soft_label_check = ''; -- VARCHAR: a check that gives soft labels; empty: all are 1

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
        s.score,
        CASE
            WHEN (c.reason IN ('no_answer', 'not_checked') OR starts_with(c.reason, 'execution_'))
                AND NOT getvariable('needs_answer') THEN NULL
            ELSE c.reason
        END AS reason
    FROM candidates AS c
    LEFT JOIN scored AS s ON s.sample = c.sample
),
labels AS (
    SELECT hash(sample_id) AS sample, avg(value) AS soft_label
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('soft_label_check') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
ranges AS (
    SELECT prompt, count(*) AS num_scored, max(score) AS best, min(score) AS worst
    FROM graded
    WHERE reason IS NULL AND score IS NOT NULL
    GROUP BY prompt
)
SELECT
    g.sample,
    CASE WHEN g.score = r.best THEN 'chosen' WHEN g.score = r.worst THEN 'rejected' END AS side,
    1.0::DOUBLE AS weight,
    r.best - r.worst AS margin,
    l.soft_label,
    CASE
        WHEN g.reason IS NOT NULL THEN g.reason
        WHEN g.score IS NULL THEN 'no_score'
        WHEN r.num_scored = 1 THEN 'no_counterpart'
        WHEN r.best - r.worst < 1e-9 THEN 'tie'
        WHEN r.best - r.worst <= getvariable('min_margin') THEN 'small_margin'
        WHEN g.score NOT IN (r.best, r.worst) THEN 'middle_score'
    END AS reason
FROM graded AS g
LEFT JOIN ranges AS r ON r.prompt = g.prompt
LEFT JOIN labels AS l ON l.sample = g.sample;
