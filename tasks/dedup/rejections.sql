-- What a method dropped, as rows of `rejections`.
--
-- Reads dropped (sample_id, detail). Gives the columns of `rejections`.
-- Parameters, besides run and round (samples.sql):
SET VARIABLE filter = 'dedup_exact';      -- VARCHAR: the method
SET VARIABLE reason = 'exact_duplicate';  -- VARCHAR: its reason

SELECT
    'rejection-' || left(sha256(json_array(
        'rejection', getvariable('run'), getvariable('round'), 'samples', sample_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    'samples' AS row_table,
    sample_id AS row_id,
    getvariable('filter')::VARCHAR AS filter,
    getvariable('reason')::VARCHAR AS reason,
    detail
FROM dropped
ORDER BY sample_id;
