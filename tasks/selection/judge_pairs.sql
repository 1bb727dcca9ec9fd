-- Preference pairs from judgements, ties dropped, length kept in check (Meta-Rewarding, 2407.19594).
--
-- A sample's score is the mean of its judgements (scores of one check, one row per judgement); it
-- needs at least min_judgements of them. Among the samples with a score in the top band,
-- (1 - rho) * max + rho * min or more, the shortest text is chosen; among those in the bottom band,
-- rho * max + (1 - rho) * min or less, the longest is rejected. With rho = 0 that is the highest
-- against the lowest score (Self-Rewarding, arXiv 2401.10020). A prompt whose samples all have the
-- same score is a tie and is dropped. There is one pair per prompt; its margin is the difference of
-- the two scores. A pair whose chosen text is longer than max_chosen_length is none. A sample without
-- an answer counts, and a program that failed: a judge reads open answers, and nothing but texts.
-- Reasons: few_judgements, no_counterpart, tie, chosen_too_long, middle_score, other_length; see
-- pair_up.sql.
--
-- Reads candidates, samples, scores. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE check_name = 'judge';     -- VARCHAR: the check that holds the judgements
SET VARIABLE min_judgements = 1;  -- INTEGER in [1, inf]: fewest judgements that a score rests on
SET VARIABLE rho = 0.0;           -- DOUBLE in [0, 0.49]: width of both bands, as a share of the range
SET VARIABLE max_chosen_length = 0;  -- INTEGER in [0, inf]: characters of a chosen text; 0: any
SET VARIABLE max_pairs = 1;       -- INTEGER in [1, 1]: pairs of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH judgements AS (
    SELECT hash(sample_id) AS sample, avg(value) AS score, count(*) AS num_judgements
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('check_name') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
lengths AS (
    SELECT hash(id) AS sample, length(text) AS length
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
),
graded AS (
    SELECT
        c.sample,
        c.prompt,
        j.score,
        l.length,
        pick(c.sample_id) AS pick,
        CASE
            WHEN c.reason NOT IN ('no_answer', 'not_checked')
                AND NOT starts_with(c.reason, 'execution_') THEN c.reason
            WHEN coalesce(j.num_judgements, 0) < getvariable('min_judgements')
                THEN 'few_judgements'
        END AS reason
    FROM candidates AS c
    JOIN lengths AS l ON l.sample = c.sample
    LEFT JOIN judgements AS j ON j.sample = c.sample
),
banded AS (
    SELECT
        *,
        count(*) OVER one_prompt AS num_scored,
        max(score) OVER one_prompt AS best,
        min(score) OVER one_prompt AS worst,
        -- The tolerance keeps a score on the edge of a band inside it in floating point.
        score + 1e-9 >= best - getvariable('rho') * (best - worst) AS is_top,
        score - 1e-9 <= worst + getvariable('rho') * (best - worst) AS is_bottom
    FROM graded
    WHERE reason IS NULL
    WINDOW one_prompt AS (PARTITION BY prompt)
),
placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt ORDER BY is_top DESC, length, pick, sample
        ) = 1 AS is_chosen,
        row_number() OVER (
            PARTITION BY prompt ORDER BY is_bottom DESC, length DESC, pick, sample
        ) = 1 AS is_rejected
    FROM banded
),
margins AS (
    SELECT
        prompt,
        max(score) FILTER (is_chosen) - max(score) FILTER (is_rejected) AS margin,
        max(length) FILTER (is_chosen) AS chosen_length
    FROM placed
    GROUP BY prompt
)
SELECT
    g.sample,
    CASE WHEN p.is_chosen THEN 'chosen' WHEN p.is_rejected THEN 'rejected' END AS side,
    1.0::DOUBLE AS weight,
    m.margin,
    CASE
        WHEN g.reason IS NOT NULL THEN g.reason
        WHEN p.num_scored = 1 THEN 'no_counterpart'
        WHEN p.best - p.worst < 1e-9 THEN 'tie'
        WHEN getvariable('max_chosen_length') > 0
            AND m.chosen_length > getvariable('max_chosen_length') THEN 'chosen_too_long'
        WHEN p.is_chosen OR p.is_rejected THEN NULL
        WHEN p.is_top OR p.is_bottom THEN 'other_length'
        ELSE 'middle_score'
    END AS reason
FROM graded AS g
LEFT JOIN placed AS p ON p.sample = g.sample
LEFT JOIN margins AS m ON m.prompt = g.prompt;
