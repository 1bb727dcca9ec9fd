-- learned_from(object_id): what came of an object, and which models learned from it; one row per
-- descendant. The reverse of lineage.
--
--   SELECT * FROM learned_from('sample-0123456789abcdef0123');
--
-- Parameter: the id of a row of samples, prompts, executions, scores, votes, examples, pairs,
-- labels or models, or the name of a policy from outside.
-- Columns
--   step         0 for the object itself, then the distance from it
--   relation     'self', 'sample' (of the prompt or execution), 'child sample' and 'child prompt'
--                (made from it, or a copy of it), 'example', 'pair', 'label', 'rejection', 'trained'
--                (the model of the round whose training rows hold it, and models whose metrics name
--                that round in rows_by_round), 'descendant' (a model whose training started from
--                such a model)
--   table_name, id, run, round   where the row is found
--   name         role of a sample; environment of a prompt; in a training row 'chosen', 'rejected',
--                'source' (the sample), 'prompt', 'score' or 'vote'; filter; check and version;
--                recipe of a model
--   text         completion, chosen completion, problem, answer, reason of a rejection, or path of a
--                model
--   status       of a model, as last recorded
--   weight       of a training row
--   weight_hash  of a model, or of the policy that wrote the sample
-- Of a model come models only: those that learned from samples that it wrote, and those whose
-- training started from it; the samples and training rows between them would be whole rounds.
CREATE MACRO learned_from(object_id) AS TABLE
WITH RECURSIVE links AS (
    SELECT unnest(parent_ids) AS source_id, 'samples' AS table_name, id FROM samples
    UNION ALL
    SELECT prompt_id, 'samples', id FROM samples
    UNION ALL
    SELECT reused_from, 'samples', id FROM samples WHERE reused_from IS NOT NULL
    UNION ALL
    SELECT unnest(parent_ids), 'prompts', id FROM prompts
),
descendants(step, table_name, id, is_listed) AS (
    SELECT 0, 'samples', id, true FROM samples WHERE id = object_id
    UNION
    SELECT 0, 'prompts', id, true FROM prompts WHERE id = object_id
    UNION
    SELECT 1, 'samples', sample_id, true FROM executions WHERE id = object_id
    UNION
    SELECT 1, 'samples', id, false FROM samples WHERE policy_id = object_id
    UNION
    SELECT step + 1, links.table_name, links.id, is_listed
    FROM descendants
    JOIN links ON links.source_id = descendants.id
    -- Ids come from content, so there are no cycles; the bound is for tables made elsewhere.
    WHERE step < 100
),
nearest AS (
    SELECT min(step) AS step, table_name, id, bool_or(is_listed) AS is_listed
    FROM descendants
    GROUP BY table_name, id
),
origins AS (
    SELECT step, id, is_listed FROM nearest
    UNION
    SELECT 0, object_id, true
),
training AS (
    SELECT
        'examples' AS table_name, 'example' AS relation, id, run, round, weight, prompt_id,
        completion[-1].content AS text, NULL::VARCHAR AS chosen_id,
        NULL::VARCHAR AS rejected_id, score_ids, vote_ids, sample_ids
    FROM examples
    UNION ALL
    SELECT
        'labels', 'label', id, run, round, weight, prompt_id, completion[-1].content, NULL, NULL,
        score_ids, vote_ids, sample_ids
    FROM labels
    UNION ALL
    SELECT
        'pairs', 'pair', id, run, round, weight, prompt_id, chosen[-1].content, chosen_sample_id,
        rejected_sample_id, score_ids, vote_ids,
        list_distinct(sample_ids || [chosen_sample_id, rejected_sample_id])
    FROM pairs
),
sources AS (
    SELECT
        * EXCLUDE (score_ids, vote_ids, sample_ids),
        unnest(
            list_transform(sample_ids, lambda x: {'id': x, 'name': CASE x
                WHEN chosen_id THEN 'chosen' WHEN rejected_id THEN 'rejected' ELSE 'source' END})
            || list_transform(score_ids, lambda x: {'id': x, 'name': 'score'})
            || list_transform(vote_ids, lambda x: {'id': x, 'name': 'vote'})
            || [{'id': prompt_id, 'name': 'prompt'}, {'id': id, 'name': 'self'}]
        ) AS source
    FROM training
),
rows_with AS (
    SELECT
        min(CASE source.name WHEN 'self' THEN 0 ELSE origins.step + 1 END) AS step,
        CASE WHEN sources.id = object_id THEN 'self' ELSE relation END AS relation,
        table_name, sources.id, run, round, text, weight,
        arg_min(source.name, origins.step) AS name,
        bool_or(origins.is_listed) AS is_listed
    FROM sources
    JOIN origins ON origins.id = sources.source.id
    GROUP BY ALL
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
    SELECT 0, 0, id FROM models WHERE id = object_id
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
        step,
        CASE
            WHEN id = object_id THEN 'self'
            WHEN step = 1 AND (
                prompt_id = object_id OR samples.id IN (
                    SELECT sample_id FROM executions WHERE executions.id = object_id
                )
            ) THEN 'sample'
            ELSE 'child sample'
        END AS relation,
        'samples' AS table_name, id, run, round, role AS name, text, NULL::VARCHAR AS status,
        NULL::DOUBLE AS weight, weight_hash
    FROM samples
    JOIN nearest USING (id)
    WHERE nearest.table_name = 'samples' AND is_listed
    UNION ALL
    SELECT
        step, CASE WHEN id = object_id THEN 'self' ELSE 'child prompt' END, 'prompts', id, run,
        round, environment, messages[-1].content, NULL, NULL, NULL
    FROM prompts
    JOIN nearest USING (id)
    WHERE nearest.table_name = 'prompts' AND is_listed
    UNION ALL
    SELECT 0, 'self', 'executions', id, run, round, verdict, stdout, NULL, NULL, NULL
    FROM executions WHERE id = object_id
    UNION ALL
    SELECT 0, 'self', 'scores', id, run, round, "check" || ' ' || version, label, NULL, NULL, NULL
    FROM scores WHERE id = object_id
    UNION ALL
    SELECT 0, 'self', 'votes', id, run, round, NULL, answer, NULL, NULL, NULL
    FROM votes WHERE id = object_id
    UNION ALL
    SELECT step, relation, table_name, id, run, round, name, text, NULL, weight, NULL
    FROM rows_with
    WHERE is_listed
    UNION ALL
    SELECT
        nearest.step + 1, 'rejection', 'rejections', rejections.id, run, round, filter, reason,
        NULL, NULL, NULL
    FROM rejections
    JOIN nearest ON nearest.id = rejections.row_id
    WHERE nearest.is_listed
    UNION ALL
    SELECT
        step,
        CASE WHEN id = object_id THEN 'self' WHEN depth = 0 THEN 'trained' ELSE 'descendant' END,
        'models', id, run, round, recipe, path, status, NULL, weight_hash
    FROM nearest_heirs
    JOIN model_rows USING (id)
)
SELECT
    step::INTEGER AS step, relation, table_name, id, run, round, name, text, status, weight,
    weight_hash
FROM steps
ORDER BY step, relation, round, id;

COMMENT ON MACRO TABLE learned_from IS
    'Training rows and models that an object went into: learned_from(''<id>'')';
