-- learned_from(sample_id): what came of a sample, one row per descendant.
--
--   SELECT * FROM learned_from('sample-0123456789abcdef0123');
--
-- Columns
--   step         0 for the sample itself, then the distance from it
--   relation     'self', 'child sample' (conditioned on it), 'example', 'pair', 'label',
--                'rejection', 'trained' (the model of the round whose training rows hold it, and
--                models whose metrics name that round in rows_by_round), 'descendant' (a model
--                whose training started from such a model)
--   table_name, id, run, round   where the row is found
--   name         role of a sample; 'chosen', 'rejected' or 'source' in a training row; filter;
--                recipe of a model
--   text         completion, chosen completion, reason of a rejection, or path of a model
--   status       of a model, as last recorded
--   weight       of a training row
--   weight_hash  of a model, or of the policy that wrote the sample
CREATE MACRO learned_from(object_id) AS TABLE
WITH RECURSIVE children AS (
    SELECT id, unnest(parent_ids) AS parent_id FROM samples
),
descendants(step, id) AS (
    SELECT 0, id FROM samples WHERE id = object_id
    UNION
    SELECT step + 1, children.id
    FROM descendants
    JOIN children ON children.parent_id = descendants.id
    -- Ids come from content, so there are no cycles; the bound is for tables made elsewhere.
    WHERE step < 100
),
nearest AS (
    SELECT min(step) AS step, id FROM descendants GROUP BY id
),
training AS (
    SELECT
        'examples' AS table_name, 'example' AS relation, id, run, round, weight,
        completion[-1].content AS text, NULL::VARCHAR AS chosen_id,
        NULL::VARCHAR AS rejected_id,
        unnest(sample_ids) AS sample_id
    FROM examples
    UNION ALL
    SELECT
        'labels', 'label', id, run, round, weight, completion[-1].content, NULL, NULL,
        unnest(sample_ids)
    FROM labels
    UNION ALL
    SELECT
        'pairs', 'pair', id, run, round, weight, chosen[-1].content, chosen_sample_id,
        rejected_sample_id,
        unnest(list_distinct(sample_ids || [chosen_sample_id, rejected_sample_id]))
    FROM pairs
),
rows_with AS (
    SELECT
        nearest.step + 1 AS step, relation, table_name, training.id, run, round, text, weight,
        CASE sample_id WHEN chosen_id THEN 'chosen' WHEN rejected_id THEN 'rejected'
            ELSE 'source' END AS name
    FROM training
    JOIN nearest ON nearest.id = training.sample_id
),
model_rows AS (
    SELECT * FROM models
    QUALIFY row_number() OVER (
        PARTITION BY id
        ORDER BY run DESC, round DESC, status IN ('base', 'candidate')
    ) = 1
),
learners(step, id) AS (
    SELECT step + 1, child_model_id
    FROM rows_with
    JOIN rounds USING (run, round)
    WHERE child_model_id IS NOT NULL
    UNION
    SELECT step + 1, models.id
    FROM rows_with
    JOIN models USING (run, round)
    WHERE models.status = 'candidate'
    UNION
    -- A model may also see rows of earlier rounds; then its metrics say which.
    SELECT step + 1, models.id
    FROM rows_with
    JOIN models USING (run)
    WHERE json_extract(
            models.metrics, '$.rows_by_round."' || rows_with.round || '"'
        )::VARCHAR::BIGINT > 0
        AND coalesce(models.metrics ->> '$.training_table', table_name) = table_name
),
heirs(step, depth, id) AS (
    SELECT min(step), 0, id FROM learners GROUP BY id
    UNION
    SELECT step + 1, depth + 1, models.id
    FROM heirs
    JOIN models ON models.parent_id = heirs.id
    WHERE depth < 1000
),
nearest_heirs AS (
    SELECT min(step) AS step, min(depth) AS depth, id FROM heirs GROUP BY id
),
steps AS (
    SELECT
        step, CASE WHEN step = 0 THEN 'self' ELSE 'child sample' END AS relation,
        'samples' AS table_name, id, run, round, role AS name, text, NULL::VARCHAR AS status,
        NULL::DOUBLE AS weight, weight_hash
    FROM samples
    JOIN nearest USING (id)
    UNION ALL
    SELECT step, relation, table_name, id, run, round, name, text, NULL, weight, NULL FROM rows_with
    UNION ALL
    SELECT
        nearest.step + 1, 'rejection', 'rejections', rejections.id, run, round, filter, reason,
        NULL, NULL, NULL
    FROM rejections
    JOIN nearest ON nearest.id = rejections.row_id
    UNION ALL
    SELECT
        step, CASE WHEN depth = 0 THEN 'trained' ELSE 'descendant' END, 'models', id, run, round,
        recipe, path, status, NULL, weight_hash
    FROM nearest_heirs
    JOIN model_rows USING (id)
)
SELECT
    step::INTEGER AS step, relation, table_name, id, run, round, name, text, status, weight,
    weight_hash
FROM steps
ORDER BY step, relation, round, id;

COMMENT ON MACRO TABLE learned_from IS
    'Training rows and models that a sample went into: learned_from(''<sample id>'')';
