-- Preference pairs of fast over slow programs (CodeDPO, arXiv 2410.05605).
--
-- Compared are the programs that pass all credible tests: those of the executions with the flag
-- 'timed' whose every verdict is accepted. A program's time is its least CPU time, since whatever
-- disturbs a program makes it slower. The fastest of a prompt is chosen, the slowest rejected, if it
-- takes min_ratio times as long or longer; the margin is the difference in milliseconds.
-- The times are measured: another run of the same work can find other pairs.
-- Reasons: not_timed (it passed not all credible tests), no_counterpart, similar_time, middle_time;
-- see pair_up.sql for the rest.
--
-- Reads candidates, executions. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE check_name = 'cross_rank';  -- VARCHAR: the check that decided which programs were timed
SET VARIABLE min_ratio = 1.25;  -- DOUBLE in [1, inf]: how many times as long the slowest has to take
SET VARIABLE max_pairs = 1;     -- INTEGER in [1, inf]: most pairs of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH timed AS (
    SELECT hash(sample_id) AS sample, min(cpu_ms) AS cpu_ms
    FROM executions
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND list_contains(flags, 'timed')
    GROUP BY sample_id
    HAVING bool_and(verdict = 'accepted')
),
graded AS (
    SELECT c.sample, c.prompt, c.reason, t.cpu_ms
    FROM candidates AS c
    LEFT JOIN timed AS t ON t.sample = c.sample
),
ranges AS (
    SELECT prompt, count(*) AS num_timed, min(cpu_ms) AS fastest, max(cpu_ms) AS slowest
    FROM graded
    WHERE reason IS NULL AND cpu_ms IS NOT NULL
    GROUP BY prompt
)
SELECT
    g.sample,
    CASE WHEN g.cpu_ms = r.fastest THEN 'chosen' WHEN g.cpu_ms = r.slowest THEN 'rejected' END
        AS side,
    1.0::DOUBLE AS weight,
    r.slowest - r.fastest AS margin,
    CASE
        WHEN g.reason IS NOT NULL THEN g.reason
        WHEN g.cpu_ms IS NULL THEN 'not_timed'
        WHEN r.num_timed = 1 THEN 'no_counterpart'
        WHEN r.slowest <= r.fastest OR r.slowest < r.fastest * getvariable('min_ratio')
            THEN 'similar_time'
        WHEN g.cpu_ms NOT IN (r.fastest, r.slowest) THEN 'middle_time'
    END AS reason
FROM graded AS g
LEFT JOIN ranges AS r ON r.prompt = g.prompt;
