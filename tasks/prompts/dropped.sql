-- What became no prompt, as rows of `rejections`: about the sample that the text is from.
--
-- Reads items (items.sql). Gives the columns of `rejections`.
-- Parameters, besides run and round (items.sql):
SET VARIABLE filter = 'make_prompts';  -- VARCHAR: the filter's name

SELECT
    'rejection-' || left(sha256(json_array(
        'rejection', getvariable('run'), getvariable('round'), 'samples', sample_id,
        getvariable('filter'), number
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    'samples' AS row_table,
    sample_id AS row_id,
    getvariable('filter')::VARCHAR AS filter,
    reason,
    detail
FROM items
WHERE reason IS NOT NULL
ORDER BY sample_id, number;
