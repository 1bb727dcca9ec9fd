-- Preference pairs from win rates against the policy's own samples (SPPO, arXiv 2405.00675).
--
-- A sample's win rate is its score of one check (see tasks/judging/win_rates.sql). Chosen are the
-- samples with the prompt's highest win rate, rejected those with its lowest. With use_all the upper
-- half of a prompt's samples is chosen and the lower half rejected, the one in the middle left out:
-- a loss that regresses on win rates then learns from every sample (SPO, arXiv 2401.04056). The
-- prompt is kept if highest and lowest differ by more than min_margin (DNO, arXiv 2404.03715). A
-- pair's margin is the difference of both; soft_labels makes sigmoid(margin) its soft label.
-- A sample without an answer counts, unless needs_answer: it is as good as its win rate.
-- Reasons: no_score, no_counterpart (nothing else is scored), tie, small_margin, middle_score;
-- see pair_up.sql for the rest.
--
-- Reads candidates, scores. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, win_rate, reason
-- Parameters:
SET VARIABLE check_name = 'win_rate';    -- VARCHAR: the check that holds win rates
SET VARIABLE min_margin = 0.0;      -- DOUBLE in [0, 1]: the difference has to be larger
SET VARIABLE soft_labels = FALSE;   -- BOOLEAN: whether soft labels follow the win rates
SET VARIABLE use_all = FALSE;       -- BOOLEAN: whether all samples are used, or the best and worst
SET VARIABLE needs_answer = FALSE;  -- BOOLEAN: whether a sample without an answer is no use
SET VARIABLE max_pairs = 1;         -- INTEGER in [1, inf]: most pairs of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH rated AS (
    SELECT hash(sample_id) AS sample, avg(value) AS win_rate
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('check_name') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
graded AS (
    SELECT
        c.sample,
        c.prompt,
        pick(c.sample_id) AS pick,
        r.win_rate,
        CASE
            WHEN (c.reason IN ('no_answer', 'not_checked') OR starts_with(c.reason, 'execution_'))
                AND NOT getvariable('needs_answer') THEN NULL
            ELSE c.reason
        END AS reason
    FROM candidates AS c
    LEFT JOIN rated AS r ON r.sample = c.sample
),
placed AS (
    SELECT
        sample,
        win_rate,
        count(*) OVER one_prompt AS num_rated,
        max(win_rate) OVER one_prompt AS best,
        min(win_rate) OVER one_prompt AS worst,
        row_number() OVER (PARTITION BY prompt ORDER BY win_rate DESC, pick, sample) AS place
    FROM graded
    WHERE reason IS NULL AND win_rate IS NOT NULL
    WINDOW one_prompt AS (PARTITION BY prompt)
),
sided AS (
    SELECT
        *,
        CASE
            WHEN getvariable('use_all') THEN CASE
                WHEN place <= num_rated // 2 THEN 'chosen'
                WHEN place > num_rated - num_rated // 2 THEN 'rejected'
            END
            WHEN win_rate = best THEN 'chosen'
            WHEN win_rate = worst THEN 'rejected'
        END AS side
    FROM placed
)
SELECT
    g.sample,
    s.side,
    1.0::DOUBLE AS weight,
    s.best - s.worst AS margin,
    g.win_rate,
    CASE
        WHEN g.reason IS NOT NULL THEN g.reason
        WHEN g.win_rate IS NULL THEN 'no_score'
        WHEN s.num_rated = 1 THEN 'no_counterpart'
        WHEN s.best - s.worst < 1e-9 THEN 'tie'
        WHEN s.best - s.worst <= getvariable('min_margin') THEN 'small_margin'
        WHEN s.side IS NULL THEN 'middle_score'
    END AS reason
FROM graded AS g
LEFT JOIN sided AS s ON s.sample = g.sample;
