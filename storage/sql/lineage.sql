-- lineage(object_id): everything that an object was made from, one row per ancestor.
--
--   SELECT * FROM lineage('pair-0123456789abcdef0123');
--
-- Parameter: the id of a row of any table but rejections, evaluations and rounds.
-- Columns
--   step         0 for the object itself, then the distance to it
--   relation     'self', 'chosen sample', 'rejected sample', 'sample', 'voter', 'parent sample',
--                'reused sample' (that a sample is a copy of), 'execution', 'test' (that a program
--                was run against), 'score', 'vote', 'other vote' (the losers of the prompt),
--                'prompt', 'parent prompt', 'policy', 'parent policy', 'filter decision' (about the
--                object or its samples), 'sibling rejected' (about other samples of the prompt in
--                the same round), 'round' (recipe and settings of the filters)
--   table_name, id, run, round   where the row is found
--   name         role, check and version, backend, environment or recipe
--   text         completion, stdout, problem or path of the model
--   label        canonical answer, reference, or status of the model or round
--   value        score, vote share, mean log-probability, or margin of a pair
--   policy_id, weight_hash, sampling, seed   who wrote a sample, and how it was drawn
--   verdict      the sandbox's verdict
--   filter, reason   of a rejection; 'kept' on the object itself where no filter dropped it
--   detail       the row's other numbers as JSON
CREATE MACRO lineage(object_id) AS TABLE
WITH RECURSIVE own AS (
    SELECT
        'pairs' AS table_name, id, run, round, prompt_id, sample_ids, vote_ids,
        chosen_sample_id AS chosen_id, rejected_sample_id AS rejected_id,
        chosen[-1].content AS text, NULL::VARCHAR AS label, margin AS value,
        json_object('weight', weight, 'margin', margin, 'soft_label', soft_label,
            'chosen_win_rate', chosen_win_rate, 'rejected_win_rate', rejected_win_rate) AS detail
    FROM pairs WHERE id = object_id
    UNION ALL
    SELECT
        'examples', id, run, round, prompt_id, sample_ids, vote_ids, NULL, NULL,
        completion[-1].content, NULL, NULL, json_object('weight', weight)
    FROM examples WHERE id = object_id
    UNION ALL
    SELECT
        'labels', id, run, round, prompt_id, sample_ids, vote_ids, NULL, NULL,
        completion[-1].content, label::VARCHAR, NULL, json_object('weight', weight)
    FROM labels WHERE id = object_id
    UNION ALL
    SELECT
        'votes', id, run, round, prompt_id, [], [id], NULL, NULL, answer, answer, share,
        json_object('count', "count", 'weight', weight, 'rank', rank, 'num_samples', num_samples)
    FROM votes WHERE id = object_id
),
first_samples AS (
    SELECT DISTINCT unnest(sample_ids || [chosen_id, rejected_id]) AS id FROM own
    UNION
    SELECT id FROM samples WHERE id = object_id
    UNION
    SELECT sample_id FROM executions WHERE id = object_id
    UNION
    SELECT sample_id FROM scores WHERE id = object_id
    UNION
    -- The voters of an answer: their canonical answer is the score of the check 'answer'.
    SELECT samples.id
    FROM own
    JOIN samples
        ON samples.run = own.run AND samples.round = own.round
        AND samples.prompt_id = own.prompt_id AND samples.purpose <> 'evaluate'
    JOIN scores
        ON scores.run = own.run AND scores.round = own.round AND scores.sample_id = samples.id
        AND scores."check" = 'answer' AND scores.label = own.label
    WHERE own.table_name = 'votes'
),
own_runs AS (
    SELECT run FROM own
    UNION
    SELECT run FROM samples WHERE id IN (SELECT id FROM first_samples)
),
sources AS (
    SELECT id, parent_ids || [prompt_id] AS source_ids FROM samples
    UNION ALL
    -- Two runs may have made the same problem, each from samples of its own.
    SELECT id, parent_ids
    FROM prompts
    WHERE run IN (SELECT run FROM own_runs) OR NOT EXISTS (FROM own_runs)
),
ancestors(step, id) AS (
    SELECT CASE WHEN id = object_id THEN 0 ELSE 1 END, id FROM first_samples WHERE id IS NOT NULL
    UNION
    SELECT 1, prompt_id FROM own
    UNION
    SELECT 0, id FROM prompts WHERE id = object_id
    UNION
    SELECT step + 1, unnest(source_ids)
    FROM ancestors
    JOIN sources USING (id)
    -- Ids come from content, so there are no cycles; the bound is for tables made elsewhere.
    WHERE step < 100
),
nearest AS (
    SELECT min(step) AS step, id FROM ancestors GROUP BY id
),
found_samples AS (
    SELECT nearest.step, samples.* FROM samples JOIN nearest USING (id)
),
found_tests AS (
    SELECT nearest.step + 2 AS step, unnest(executions.test_ids) AS id
    FROM executions
    JOIN nearest ON nearest.id = executions.sample_id
),
scope AS (
    SELECT run, round, prompt_id FROM own
    UNION
    SELECT run, round, prompt_id FROM found_samples WHERE id IN (SELECT id FROM first_samples)
),
found_prompts AS (
    SELECT nearest.step, prompts.*
    FROM prompts
    JOIN nearest USING (id)
    -- A problem can be in several rounds; the row of this object's round is the one.
    QUALIFY row_number() OVER (
        PARTITION BY id
        ORDER BY (run, round) IN (SELECT (run, round) FROM scope) DESC, run, round DESC
    ) = 1
),
writers AS (
    SELECT min(step) + 1 AS step, policy_id, weight_hash, min(run) AS run, min(round) AS round
    FROM found_samples
    GROUP BY policy_id, weight_hash
),
policies(step, id) AS (
    SELECT step, policy_id FROM writers
    UNION
    SELECT 0, id FROM models WHERE id = object_id
    UNION
    SELECT step + 1, models.parent_id
    FROM policies
    JOIN models USING (id)
    WHERE models.parent_id IS NOT NULL AND step < 100
),
model_rows AS (
    SELECT * FROM models
    QUALIFY row_number() OVER (
        PARTITION BY id
        ORDER BY run DESC, round DESC, status IN ('base', 'candidate')
    ) = 1
),
answers AS (
    SELECT sample_id, any_value(label) AS label
    FROM scores
    WHERE "check" = 'answer' AND sample_id IN (
        SELECT samples.id FROM samples JOIN scope USING (run, round, prompt_id)
    )
    GROUP BY sample_id
),
decisions AS (
    SELECT
        CASE WHEN nearest.id IS NOT NULL OR rejections.row_id = object_id THEN 'filter decision'
             ELSE 'sibling rejected' END AS relation,
        coalesce(nearest.step, 0) + 1 AS step, rejections.*, samples.text, samples.policy_id,
        samples.weight_hash, samples.sampling, samples.seed, samples.role
    FROM rejections
    LEFT JOIN samples ON samples.id = rejections.row_id AND rejections.row_table = 'samples'
    LEFT JOIN nearest ON nearest.id = rejections.row_id
    WHERE (rejections.run, rejections.round) IN (SELECT (run, round) FROM scope)
        AND (
            rejections.row_id = object_id
            OR nearest.id IS NOT NULL
            OR (
                (samples.run, samples.round, samples.prompt_id)
                    IN (SELECT (run, round, prompt_id) FROM scope)
                AND EXISTS (SELECT 1 FROM own)
            )
        )
),
steps AS (
    SELECT
        0 AS step, 'self' AS relation, table_name, id, run, round, NULL::VARCHAR AS name, text,
        label, value, NULL::VARCHAR AS policy_id, NULL::VARCHAR AS weight_hash,
        NULL::VARCHAR AS sampling, NULL::BIGINT AS seed, NULL::VARCHAR AS verdict,
        NULL::VARCHAR AS filter,
        CASE WHEN table_name <> 'votes'
            AND id NOT IN (SELECT row_id FROM decisions) THEN 'kept' END AS reason,
        detail
    FROM own
    UNION ALL
    SELECT
        step,
        CASE
            WHEN id = object_id THEN 'self'
            WHEN id IN (SELECT chosen_id FROM own) THEN 'chosen sample'
            WHEN id IN (SELECT rejected_id FROM own) THEN 'rejected sample'
            WHEN id NOT IN (SELECT id FROM first_samples WHERE id IS NOT NULL) THEN 'parent sample'
            WHEN EXISTS (SELECT 1 FROM own WHERE table_name = 'votes') THEN 'voter'
            ELSE 'sample'
        END,
        'samples', id, run, round, role, text, answers.label, mean_logprob, policy_id, weight_hash,
        sampling, seed, NULL, NULL, NULL,
        json_object('purpose', purpose, 'turn', turn, 'index', "index", 'engine', engine,
            'num_tokens', num_tokens, 'finish_reason', finish_reason, 'status', status,
            'error', error, 'reused_from', reused_from)
    FROM found_samples
    LEFT JOIN answers ON answers.sample_id = found_samples.id
    UNION ALL
    SELECT
        min(found_samples.step) + 1, 'reused sample', 'samples', samples.id, samples.run,
        samples.round, samples.role, samples.text, NULL, samples.mean_logprob, samples.policy_id,
        samples.weight_hash, samples.sampling, samples.seed, NULL, NULL, NULL,
        json_object('purpose', samples.purpose, 'engine', samples.engine)
    FROM found_samples
    JOIN samples ON samples.id = found_samples.reused_from
    GROUP BY ALL
    UNION ALL
    SELECT
        min(found_tests.step), 'test', 'samples', samples.id, samples.run, samples.round,
        samples.role, samples.text, NULL, samples.mean_logprob, samples.policy_id,
        samples.weight_hash, samples.sampling, samples.seed, NULL, NULL, NULL,
        json_object('purpose', samples.purpose, 'engine', samples.engine)
    FROM found_tests
    JOIN samples ON samples.id = found_tests.id
    WHERE found_tests.id NOT IN (SELECT id FROM nearest)
    GROUP BY ALL
    UNION ALL
    SELECT
        CASE WHEN executions.id = object_id THEN 0 ELSE nearest.step + 1 END,
        CASE WHEN executions.id = object_id THEN 'self' ELSE 'execution' END,
        'executions', executions.id, run, round, backend, stdout,
        NULL, NULL, NULL, NULL, NULL, NULL, verdict, NULL, NULL,
        json_object('sample_id', sample_id, 'exit_code', exit_code, 'signal', signal,
            'stderr', stderr, 'flags', flags, 'isolation', isolation, 'attempts', attempts)
    FROM executions
    JOIN nearest ON nearest.id = executions.sample_id
    UNION ALL
    SELECT
        CASE WHEN scores.id = object_id THEN 0 ELSE nearest.step + 1 END,
        CASE WHEN scores.id = object_id THEN 'self' ELSE 'score' END,
        'scores', scores.id, run, round, "check" || ' ' || version, NULL, label, value, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        json_object('sample_id', sample_id, 'status', status, 'error', error, 'detail', detail)
    FROM scores
    JOIN nearest ON nearest.id = scores.sample_id
    UNION ALL
    SELECT
        1,
        CASE WHEN EXISTS (SELECT 1 FROM own WHERE len(vote_ids) > 0)
            AND id NOT IN (SELECT unnest(vote_ids) FROM own) THEN 'other vote' ELSE 'vote' END,
        'votes', id, run, round, NULL, NULL, answer, share, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL,
        json_object('count', "count", 'weight', weight, 'rank', rank, 'num_samples', num_samples)
    FROM votes
    WHERE (run, round, prompt_id) IN (SELECT (run, round, prompt_id) FROM scope) AND id <> object_id
    UNION ALL
    SELECT
        step,
        CASE
            WHEN id = object_id THEN 'self'
            WHEN id IN (SELECT prompt_id FROM scope) THEN 'prompt'
            ELSE 'parent prompt'
        END,
        'prompts', id, run, round, environment,
        array_to_string(list_transform(messages, lambda m: m.role || ': ' || m.content), chr(10)),
        reference, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        json_object('source', source, 'split', split, 'difficulty', difficulty,
            'metadata', metadata)
    FROM found_prompts
    UNION ALL
    SELECT
        writers.step, 'policy', 'models', policy_id, coalesce(model_rows.run, writers.run),
        coalesce(model_rows.round, writers.round), recipe, path, status, NULL, policy_id,
        writers.weight_hash, NULL, NULL, NULL, NULL, NULL,
        json_object('parent_id', parent_id, 'recipe_hash', recipe_hash, 'snapshot_hash',
            snapshot_hash, 'known', model_rows.id IS NOT NULL)
    FROM writers
    LEFT JOIN model_rows ON model_rows.id = writers.policy_id
    UNION ALL
    SELECT
        min(policies.step), CASE WHEN id = object_id THEN 'self' ELSE 'parent policy' END, 'models', id, run, round, recipe, path, status, NULL,
        id, weight_hash, NULL, NULL, NULL, NULL, NULL,
        json_object('parent_id', parent_id, 'recipe_hash', recipe_hash, 'snapshot_hash',
            snapshot_hash, 'known', true)
    FROM policies
    JOIN model_rows USING (id)
    WHERE id NOT IN (SELECT policy_id FROM writers)
    GROUP BY ALL
    UNION ALL
    SELECT
        step, relation, 'rejections', id, run, round, role, text, answers.label, NULL, policy_id,
        weight_hash, sampling, seed, NULL, filter, reason,
        json_object('row_table', row_table, 'row_id', row_id, 'detail', detail)
    FROM decisions
    LEFT JOIN answers ON answers.sample_id = decisions.row_id
    UNION ALL
    SELECT
        1, 'round', 'rounds', id, run, round, recipe, NULL, gate_verdict, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL,
        json_object('config', config, 'recipe_hash', recipe_hash, 'parent_model_id',
            parent_model_id, 'child_model_id', child_model_id)
    FROM rounds
    WHERE (run, round) IN (SELECT (run, round) FROM scope) OR child_model_id = object_id
)
SELECT
    step::INTEGER AS step, relation, table_name, id, run, round, name, text, label, value,
    policy_id, weight_hash, sampling, seed, verdict, filter, reason, detail::VARCHAR AS detail
FROM steps
ORDER BY step, relation, round, id;

COMMENT ON MACRO TABLE lineage IS
    'Everything that a training row, sample, vote, prompt or model was made from: lineage(''<id>'')';
