-- round_diff(run, a, b): what entered and left the training rows between two rounds of a run, and
-- which prompts changed their label.
--
--   SELECT * FROM round_diff('my-run', 1, 2);
--
-- Compared are prompts, table by table: a prompt has a set of labels in a round (see
-- training_labels), which does not depend on how many rows or which samples carry them. Prompts
-- with the same labels in both rounds are left out.
--
-- Columns
--   change        'entered' (only in round b), 'left' (only in round a) or 'changed label'
--   table_name    examples, pairs or labels
--   prompt_id     the prompt
--   problem       content of its last message
--   reference     its reference answer
--   labels_before, labels_after   different labels in round a and b, sorted
--   rows_before, rows_after       training rows in round a and b
CREATE MACRO round_diff(of_run, round_a, round_b) AS TABLE
WITH sides AS (
    SELECT
        table_name,
        prompt_id,
        list_sort(list(DISTINCT label) FILTER (WHERE round = round_a)) AS labels_before,
        list_sort(list(DISTINCT label) FILTER (WHERE round = round_b)) AS labels_after,
        count(*) FILTER (WHERE round = round_a) AS rows_before,
        count(*) FILTER (WHERE round = round_b) AS rows_after
    FROM training_labels
    WHERE run = of_run AND round IN (round_a, round_b)
    GROUP BY table_name, prompt_id
),
asked AS (
    SELECT
        id AS prompt_id,
        any_value(messages)[-1].content AS problem,
        any_value(reference) AS reference
    FROM prompts
    WHERE run = of_run
    GROUP BY id
)
SELECT
    CASE
        WHEN rows_before = 0 THEN 'entered'
        WHEN rows_after = 0 THEN 'left'
        ELSE 'changed label'
    END AS change,
    table_name,
    prompt_id,
    problem,
    reference,
    coalesce(labels_before, []) AS labels_before,
    coalesce(labels_after, []) AS labels_after,
    rows_before,
    rows_after
FROM sides
LEFT JOIN asked USING (prompt_id)
WHERE labels_before IS DISTINCT FROM labels_after
ORDER BY change, table_name, prompt_id;

COMMENT ON MACRO TABLE round_diff IS
    'What entered, left and changed its label between rounds: round_diff(''<run>'', 1, 2)';
