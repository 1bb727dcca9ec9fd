-- The last word of a round's selections: one row for every sample that none of them used.
--
-- `filter` and `reason` are those of the first selection; `detail` has every selection's reason.
-- So samples = samples in a training row + rejected samples, whatever the number of selections.
--
-- Reads all_decisions (position, filter, sample_id, reason). Gives the columns of `rejections`.
-- Parameters: run and round, as candidates.sql set them.

WITH unused AS (
    SELECT
        sample_id,
        min_by(filter, position) AS filter,
        min_by(reason, position) AS reason,
        list({'k': filter, 'v': reason} ORDER BY position) AS reasons
    FROM all_decisions
    GROUP BY sample_id
    HAVING bool_and(reason IS NOT NULL)
)
SELECT
    'rejection-' || left(sha256(json_array(
        'rejection', getvariable('run'), getvariable('round'), 'samples', sample_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    'samples' AS row_table,
    sample_id AS row_id,
    filter,
    reason,
    to_json(map_from_entries(reasons))::VARCHAR AS detail
FROM unused
ORDER BY sample_id;
