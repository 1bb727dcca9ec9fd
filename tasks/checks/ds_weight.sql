-- How far each answer is from the distribution of valid solutions: rows of the check `ds_weight`.
--
-- The importance weight of an answer with loss l is w = L / l, at least 0 and at most max_weight,
-- with L the mean loss of the valid solutions; a loss is minus the mean log-probability of the
-- tokens. Its distance from 1 is the DS weight: w above 1, else 1 / w, at most max_shift.
-- Source: IWSI, arXiv 2408.09849, section 3, and its code (record_weights.py, filter_data.py).
--
-- Reads samples, scores. Gives the columns of `scores`, by sample; none without valid solutions.
-- Parameters:
SET VARIABLE run = 'demo';             -- VARCHAR: the run
SET VARIABLE round = 1;                -- INTEGER: its round
SET VARIABLE check_name = 'likelihood';  -- VARCHAR: the check that holds mean log-probabilities
SET VARIABLE valid_role = 'solution';  -- VARCHAR: role of the valid solutions
SET VARIABLE max_weight = 2.0;         -- DOUBLE in [1, inf]: largest importance weight
SET VARIABLE max_shift = 5.0;          -- DOUBLE in [1, inf]: largest DS weight of those below 1

WITH losses AS (
    SELECT s.id, s.role, -avg(o.value) AS loss
    FROM samples AS s
    JOIN scores AS o
        ON o.run = s.run AND o.round = s.round AND o.sample_id = s.id
        AND o."check" = getvariable('check_name') AND o.status = 'ok' AND o.value IS NOT NULL
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
      AND s.purpose IN ('train', 'imported')
      AND s.role IN ('answer', 'program', getvariable('valid_role'))
    GROUP BY s.id, s.role
),
valid AS (
    -- Summed in one order, so that the same losses give the same mean.
    SELECT list_sum(list(loss ORDER BY id)) / count(*) AS loss
    FROM losses
    WHERE role = getvariable('valid_role')
),
weights AS (
    SELECT
        l.id,
        v.loss AS valid_loss,
        CASE
            WHEN l.loss > 0 AND v.loss > 0
                THEN least(v.loss / l.loss, getvariable('max_weight'))
            ELSE 0
        END AS weight
    FROM losses AS l
    CROSS JOIN valid AS v
    WHERE l.role IN ('answer', 'program') AND v.loss IS NOT NULL
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), id, 'ds_weight', '1'
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    id AS sample_id,
    'ds_weight' AS "check",
    '1' AS version,
    CASE
        WHEN weight > 1 THEN weight
        WHEN weight > 0 THEN least(1 / weight, getvariable('max_shift'))
        ELSE getvariable('max_shift')
    END::DOUBLE AS value,
    NULL::VARCHAR AS label,
    json_object('weight', weight, 'valid_loss', valid_loss)::VARCHAR AS detail,
    'ok' AS status,
    NULL::VARCHAR AS error
FROM weights
ORDER BY weights.id;
