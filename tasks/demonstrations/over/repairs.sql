-- Critiques and refinements of answers whose refinement was accepted (SELF, SCORE).
--
-- A chain answer -> critique -> refinement is kept if its refinement is right, or if a check of the
-- model's own says yes about it. What is learned is the critique, after problem and answer, or the
-- refinement, after the critique too. A critique that names the reference answer, where neither
-- problem nor answer have it, gives away what it was told as a hint. Of equal texts after equal
-- answers one stays.
-- Reasons: not_accepted, hint_given_away, duplicate_text.
--
-- Reads own, graded, scores, prompts.
-- References: no (with accepted_by = 'reference' it needs them)
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem, answer, critique
-- Parameters:
SET VARIABLE accepted_by = 'reference';  -- VARCHAR: 'reference', or the check that accepts
SET VARIABLE learn = 'critique';         -- VARCHAR in {critique, refinement}: what is learned

WITH accepted AS (
    SELECT sample_id
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('accepted_by') AND status = 'ok'
    GROUP BY sample_id
    HAVING avg(value) >= 1
),
made AS (
    SELECT
        r.id,
        r.prompt_id,
        a.id AS answer_id,
        c.id AS critique_id,
        a.text AS answer,
        c.text AS critique,
        CASE getvariable('learn') WHEN 'critique' THEN c.text ELSE r.text END AS completion,
        p.messages,
        p.messages[-1].content AS problem,
        CASE
            WHEN r.id NOT IN (SELECT sample_id FROM accepted) THEN 'not_accepted'
            WHEN p.reference IS NOT NULL AND len(p.reference) < 100
                AND contains(c.text, p.reference)
                AND NOT contains(a.text || p.messages[-1].content, p.reference)
                THEN 'hint_given_away'
        END AS reason
    FROM own AS r
    JOIN own AS c ON c.id = r.parent_ids[-1]
    JOIN own AS a ON a.id = r.parent_ids[1]
    JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
        AND p.id = r.prompt_id
    WHERE r.role = 'refinement' AND c.role = 'critique' AND r.status = 'ok'
),
copies AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, answer, critique, completion, reason ORDER BY pick(id), id
        ) AS copy
    FROM made
)
SELECT
    prompt_id,
    [answer_id, critique_id, id] AS sample_ids,
    completion,
    1.0::DOUBLE AS weight,
    CASE WHEN reason IS NULL AND copy > 1 THEN 'duplicate_text' ELSE reason END AS reason,
    messages,
    problem,
    answer,
    critique
FROM copies
