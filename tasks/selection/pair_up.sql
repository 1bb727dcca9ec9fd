-- Last step of a selection of pairs: chosen and rejected samples of a prompt become pairs.
--
-- Both lists are in the order of `pick`. Pair i takes chosen[i mod c] and rejected[(i + i div L)
-- mod r] with L = lcm(c, r): Iterative RPO's cycling of both lists, shifted by one whenever it
-- would repeat itself, so that no pair comes twice. There are at most max_pairs of them.
-- Reasons added here: contradictory_text (the same text was judged both ways, as a program with
-- random output can be), duplicate_text, no_counterpart, over_prompt_cap (in no pair).
--
-- Reads judged, candidates, samples, prompts. Writes the temporary tables `matches` and `decisions`
-- (sample_id, reason: null for a sample that is used) and the temporary view `selected` with the
-- columns of `pairs`.
-- Parameters, besides run and round (candidates.sql) and max_pairs (the selection):
SET VARIABLE filter = 'selection';  -- VARCHAR: the name of the selection

CREATE OR REPLACE TEMP TABLE sides AS
WITH copies AS (
    SELECT
        *,
        min(side) OVER (PARTITION BY prompt_id, text_key, reason IS NULL)
            <> max(side) OVER (PARTITION BY prompt_id, text_key, reason IS NULL) AS is_both,
        row_number() OVER (
            PARTITION BY prompt_id, text_key, reason IS NULL ORDER BY pick, sample_id
        ) AS copy
    FROM judged
),
named AS (
    SELECT
        * EXCLUDE (reason),
        CASE
            WHEN reason IS NOT NULL THEN reason
            WHEN is_both THEN 'contradictory_text'
            WHEN copy > 1 THEN 'duplicate_text'
        END AS reason
    FROM copies
)
SELECT
    sample_id,
    prompt_id,
    side,
    weight,
    margin,
    reason,
    row_number() OVER (
        PARTITION BY prompt_id, side, reason IS NULL ORDER BY pick, sample_id
    ) - 1 AS place
FROM named;

CREATE OR REPLACE TEMP TABLE matches AS
WITH sizes AS (
    SELECT
        prompt_id,
        count(*) FILTER (side = 'chosen') AS num_chosen,
        count(*) FILTER (side = 'rejected') AS num_rejected
    FROM sides
    WHERE reason IS NULL
    GROUP BY prompt_id
    HAVING num_chosen > 0 AND num_rejected > 0
),
turns AS (
    SELECT
        *,
        unnest(range(least(getvariable('max_pairs'), num_chosen * num_rejected))) AS i
    FROM sizes
),
cells AS (
    SELECT
        prompt_id,
        i % num_chosen AS chosen_place,
        (i + i // lcm(num_chosen, num_rejected)) % num_rejected AS rejected_place
    FROM turns
)
SELECT
    t.prompt_id,
    c.sample_id AS chosen_sample_id,
    r.sample_id AS rejected_sample_id,
    c.weight,
    c.margin
FROM cells AS t
JOIN sides AS c
    ON c.prompt_id = t.prompt_id AND c.place = t.chosen_place
    AND c.side = 'chosen' AND c.reason IS NULL
JOIN sides AS r
    ON r.prompt_id = t.prompt_id AND r.place = t.rejected_place
    AND r.side = 'rejected' AND r.reason IS NULL;

CREATE OR REPLACE TEMP TABLE decisions AS
WITH used AS (
    SELECT chosen_sample_id AS sample_id FROM matches
    UNION
    SELECT rejected_sample_id AS sample_id FROM matches
),
matched_prompts AS (
    SELECT DISTINCT prompt_id FROM matches
)
SELECT
    s.sample_id,
    s.prompt_id,
    CASE
        WHEN s.reason IS NOT NULL THEN s.reason
        WHEN m.prompt_id IS NULL THEN 'no_counterpart'
        WHEN u.sample_id IS NULL THEN 'over_prompt_cap'
    END AS reason
FROM sides AS s
LEFT JOIN used AS u ON u.sample_id = s.sample_id
LEFT JOIN matched_prompts AS m ON m.prompt_id = s.prompt_id;

CREATE OR REPLACE TEMP VIEW selected AS
WITH texts AS (
    SELECT c.*, s.text
    FROM candidates AS c
    JOIN decisions AS d ON d.sample_id = c.sample_id
    JOIN samples AS s ON s.id = c.sample_id
    WHERE d.reason IS NULL
      AND s.run = getvariable('run') AND s.round = getvariable('round')
)
SELECT
    'pair-' || left(sha256(json_array(
        'pair', getvariable('run'), getvariable('round'), getvariable('filter'),
        m.chosen_sample_id, m.rejected_sample_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    m.prompt_id,
    p.messages AS prompt,
    [{'role': 'assistant', 'content': c.text}] AS chosen,
    [{'role': 'assistant', 'content': r.text}] AS rejected,
    m.weight,
    m.margin,
    1.0::DOUBLE AS soft_label,
    m.chosen_sample_id,
    m.rejected_sample_id,
    [m.chosen_sample_id, m.rejected_sample_id] AS sample_ids,
    list_filter(
        [c.answer_score_id, c.reference_score_id, r.answer_score_id, r.reference_score_id],
        lambda x: x IS NOT NULL
    ) AS score_ids,
    list_filter([c.vote_id, r.vote_id], lambda x: x IS NOT NULL) AS vote_ids
FROM matches AS m
JOIN texts AS c ON c.sample_id = m.chosen_sample_id
JOIN texts AS r ON r.sample_id = m.rejected_sample_id
JOIN prompts AS p ON p.id = m.prompt_id
WHERE p.run = getvariable('run') AND p.round = getvariable('round')
ORDER BY m.prompt_id, m.chosen_sample_id, m.rejected_sample_id;
