-- Demonstrations for new questions: each row shows some problems of the run, drawn anew.
-- Seeds are the problems that the environment gave (source 'seed'), made ones those that a model made
-- in this round or before; where there are too few made ones, seeds take their place. What row i
-- shows follows from shot_seed and i alone. Source: Self-Instruct, 2212.10560: 6 seeds and 2 made.
-- Variables: num_questions (rows, 100), num_seed_shots (6), num_made_shots (2), shot_seed (0).
-- question_head and question_tail are what the environment puts around every question; they are not
-- shown, and the stage sets them.
-- Columns: prompt_id (the first seed that is shown), parent_ids (all prompts shown, in order),
-- variant (i), examples (their texts)
WITH given AS (
    SELECT
        id,
        any_value(messages[-1].content) AS text,
        any_value(source) = 'seed' AS is_seed
    FROM prompts
    WHERE run = getvariable('run') AND round <= getvariable('round') AND split = 'train'
    GROUP BY id
),
problems AS (
    SELECT
        id,
        is_seed,
        CASE
            WHEN starts_with(text, coalesce(getvariable('question_head'), ''))
                AND ends_with(text, coalesce(getvariable('question_tail'), ''))
            THEN text[
                len(coalesce(getvariable('question_head'), '')) + 1:
                len(text) - len(coalesce(getvariable('question_tail'), ''))
            ]
            ELSE text
        END AS problem
    FROM given
),
sizes AS (
    SELECT
        coalesce(getvariable('num_seed_shots'), 6) + coalesce(getvariable('num_made_shots'), 2)
            AS num_shots,
        least(
            coalesce(getvariable('num_made_shots'), 2), (SELECT count(*) FROM problems WHERE NOT is_seed)
        ) AS num_made
),
questions AS (
    SELECT unnest(range(coalesce(getvariable('num_questions'), 100)))::INTEGER AS question
),
drawn AS (
    SELECT
        q.question,
        p.*,
        md5_number_lower(p.id || ':' || q.question || ':' || coalesce(getvariable('shot_seed'), 0)) AS pick
    FROM questions AS q
    CROSS JOIN problems AS p
    QUALIFY row_number() OVER (PARTITION BY q.question, p.is_seed ORDER BY pick)
        <= (SELECT CASE WHEN p.is_seed THEN num_shots - num_made ELSE num_made END FROM sizes)
)
SELECT
    min_by(id, pick) FILTER (is_seed) AS prompt_id,
    list(id ORDER BY pick) AS parent_ids,
    question::VARCHAR AS variant,
    list(problem ORDER BY pick) AS examples
FROM drawn
GROUP BY question
HAVING bool_or(is_seed)
