-- Answers of one critic that agree with what its debate ended in (arXiv 2501.05707).
--
-- Every turn of the critic is an example, after what it was shown: a summary, or the other agents'
-- answers. Where the first answer of its number was another one, the critic corrected it: these
-- examples have `mix` of the weight together, those that it only confirmed have the rest.
-- Reasons: no_answer, no_result, minority_answer.
--
-- Reads own, graded, votes, prompts.
-- References: no
-- Columns: prompt_id, sample_ids, completion, weight, reason, context, problem, summary
-- Parameters:
SET VARIABLE agent = 'critic-0';  -- VARCHAR: the critic
SET VARIABLE mix = 0.5;           -- DOUBLE in [0, 1]: weight of what it corrected

WITH results AS (
    SELECT prompt_id, max(answer) FILTER (rank = 1) AS answer
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round') AND rank <= 2
    GROUP BY prompt_id
    HAVING count(DISTINCT weight) = count(*)
),
firsts AS (
    SELECT s.prompt_id, max(g.answer) AS answer
    FROM own AS s
    LEFT JOIN graded AS g ON g.sample_id = s.id
    WHERE s.sampling->>'$.constants.debate' IS NULL
      AND split_part(s.sampling->>'$.constants.agent', '-', 2)
          = split_part(getvariable('agent'), '-', 2)
    GROUP BY s.prompt_id
),
shown AS (
    SELECT
        c.id,
        coalesce(
            max(s.text) FILTER (s.role = 'summary'),
            string_agg(s.text, chr(10) || chr(10) ORDER BY c.place)
        ) AS summary
    FROM (
        SELECT id, unnest(parent_ids) AS parent, generate_subscripts(parent_ids, 1) AS place
        FROM own
        WHERE sampling->>'$.constants.agent' = getvariable('agent')
    ) AS c
    JOIN own AS s ON s.id = c.parent
    GROUP BY c.id
),
made AS (
    SELECT
        s.id,
        s.prompt_id,
        s.parent_ids,
        s.text,
        w.summary,
        f.answer IS DISTINCT FROM r.answer AS is_corrected,
        CASE
            WHEN nullif(g.answer, '') IS NULL THEN 'no_answer'
            WHEN r.answer IS NULL THEN 'no_result'
            WHEN g.answer <> r.answer THEN 'minority_answer'
        END AS reason
    FROM own AS s
    JOIN shown AS w ON w.id = s.id
    LEFT JOIN graded AS g ON g.sample_id = s.id
    LEFT JOIN results AS r ON r.prompt_id = s.prompt_id
    LEFT JOIN firsts AS f ON f.prompt_id = s.prompt_id
    WHERE s.sampling->>'$.constants.agent' = getvariable('agent') AND s.status = 'ok'
      AND s.role <> 'summary'
),
counted AS (
    SELECT
        count(*)::DOUBLE AS num,
        count(*) FILTER (is_corrected) AS num_corrected
    FROM made
    WHERE reason IS NULL
)
SELECT
    m.prompt_id,
    m.parent_ids || [m.id] AS sample_ids,
    m.text AS completion,
    CASE
        WHEN c.num_corrected IN (0, c.num) OR m.reason IS NOT NULL THEN 1.0
        WHEN m.is_corrected THEN getvariable('mix') * c.num / c.num_corrected
        ELSE (1 - getvariable('mix')) * c.num / (c.num - c.num_corrected)
    END::DOUBLE AS weight,
    m.reason,
    p.messages[1:len(p.messages) - 1] AS context,
    p.messages[-1].content AS problem,
    m.summary
FROM made AS m
CROSS JOIN counted AS c
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = m.prompt_id
