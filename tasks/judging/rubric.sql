-- The mean of every answer's judgements: rows of the check <name>_mean.
--
-- An unparseable judgement counts in num_judgements only. An answer that none could be read of has
-- no value and detail.failure = 'no_score'; where the engine failed on all, the status is 'error'.
-- Reads scores. Gives the columns of `scores`, by sample.
-- Parameters:
SET VARIABLE run = 'demo';         -- VARCHAR: the run
SET VARIABLE round = 1;            -- INTEGER: its round
SET VARIABLE judge = 'judge';      -- VARCHAR: name of the judge
SET VARIABLE judged_by = 'judge';  -- VARCHAR: check of the single judgements

WITH means AS (
    SELECT
        sample_id,
        version,
        count(*) AS num,
        count(value) AS scored,
        count(*) FILTER (status = 'error') AS errors,
        -- Sorted, so that the sum has the same last bits in every process.
        list_avg(list(value ORDER BY value) FILTER (value IS NOT NULL)) AS mean,
        min(value) AS low,
        max(value) AS high,
        list_sort(list(id)) AS ids
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('judged_by')
    GROUP BY sample_id, version
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), sample_id,
        getvariable('judge') || '_mean', version
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    sample_id,
    getvariable('judge') || '_mean' AS "check",
    version,
    mean AS value,
    NULL::VARCHAR AS label,
    CASE WHEN scored > 0
        THEN json_object('num_judgements', num, 'num_scored', scored, 'num_errors', errors,
                         'low', low, 'high', high, 'score_ids', ids)
        ELSE json_object('num_judgements', num, 'num_errors', errors, 'failure', 'no_score',
                         'score_ids', ids)
    END::VARCHAR AS detail,
    CASE WHEN errors = num THEN 'error' ELSE 'ok' END AS status,
    CASE WHEN errors = num THEN 'all ' || num || ' judgements failed' END AS error
FROM means
ORDER BY sample_id, version;
