-- The ways of a round's answers: rows of the check `way`.
--
-- Reads ways (sample_id, way, holds). Gives the columns of `scores`, by sample.
-- Parameters:
SET VARIABLE run = 'demo';  -- VARCHAR: the run
SET VARIABLE round = 1;     -- INTEGER: its round

SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), sample_id, 'way', '1'
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    sample_id,
    'way' AS "check",
    '1' AS version,
    holds::DOUBLE AS value,
    way AS label,
    '{}' AS detail,
    'ok' AS status,
    NULL::VARCHAR AS error
FROM ways
ORDER BY sample_id;
