-- Last step of a selection of examples: one of equal texts, at most max_per_prompt per prompt.
--
-- Reasons added here: duplicate_text (an equal text of the prompt is used), over_prompt_cap.
--
-- Reads judged (sample, weight, reason), candidates, samples, scores, votes, prompts. Writes the
-- temporary table `decisions` (sample, reason: null for a sample that is used) and the temporary
-- view `selected` with the columns of `examples`.
-- Needs: sample, weight, reason
-- Parameters, besides run and round (candidates.sql) and max_per_prompt (the selection):
SET VARIABLE filter = 'selection';  -- VARCHAR: the name of the selection
SET VARIABLE check_name = '';            -- VARCHAR: a check that decided, beside answer and reference

CREATE OR REPLACE TEMP TABLE decisions AS
WITH usable AS (
    SELECT c.sample, c.prompt, c.text_key, pick(c.sample_id) AS pick
    FROM candidates AS c
    JOIN judged AS j ON j.sample = c.sample
    WHERE j.reason IS NULL
),
copies AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY prompt, text_key ORDER BY pick, sample) AS copy
    FROM usable
),
places AS (
    SELECT
        sample,
        row_number() OVER (PARTITION BY prompt ORDER BY pick, sample) AS place
    FROM copies
    WHERE copy = 1
)
SELECT
    j.sample,
    j.weight,
    CASE
        WHEN j.reason IS NOT NULL THEN j.reason
        WHEN p.place IS NULL THEN 'duplicate_text'
        WHEN p.place > getvariable('max_per_prompt') THEN 'over_prompt_cap'
    END AS reason
FROM judged AS j
LEFT JOIN places AS p ON p.sample = j.sample;

CREATE OR REPLACE TEMP VIEW selected AS
WITH used AS (
    SELECT sample, weight FROM decisions WHERE reason IS NULL
),
opinions AS (
    SELECT
        u.sample,
        list(o.id ORDER BY o."check", o.id) AS score_ids,
        max(o.label) FILTER (o."check" = 'answer') AS answer
    FROM used AS u
    JOIN scores AS o ON hash(o.sample_id) = u.sample
    WHERE o.run = getvariable('run') AND o.round = getvariable('round')
      AND (o."check" = 'answer'
           OR o."check" = 'reference' AND getvariable('use_references')
           OR o."check" = getvariable('check_name'))
    GROUP BY u.sample
),
ballots AS (
    SELECT id, prompt_id, answer
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round')
)
SELECT
    'example-' || left(sha256(json_array(
        'example', getvariable('run'), getvariable('round'), getvariable('filter'), s.id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    s.prompt_id,
    p.messages AS prompt,
    [{'role': 'assistant', 'content': s.text}] AS completion,
    [s.id] AS sample_ids,
    coalesce(o.score_ids, []) AS score_ids,
    list_filter([v.id], lambda x: x IS NOT NULL) AS vote_ids,
    u.weight
FROM used AS u
JOIN samples AS s ON hash(s.id) = u.sample
JOIN prompts AS p ON p.id = s.prompt_id
LEFT JOIN opinions AS o ON o.sample = u.sample
LEFT JOIN ballots AS v ON v.prompt_id = s.prompt_id AND v.answer = o.answer
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND p.run = getvariable('run') AND p.round = getvariable('round')
ORDER BY s.prompt_id, s.id;
