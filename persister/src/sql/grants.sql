-- What each kind of user may do, run after the migrations each time. The roles are groups without a login of their own; who
-- administers the server makes them and their members, and a database without them has one user, who owns the tables.
DO $$
BEGIN
    -- The persister: rows, and months by the functions that make and drop them.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'penstock_writer') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO penstock_writer', current_schema());
        GRANT SELECT, INSERT, UPDATE, DELETE
            ON messages, message_statuses, duplicates, message_attachments, dead_letters, message_keys, past_keys
            TO penstock_writer;
        GRANT SELECT ON _sqlx_migrations TO penstock_writer;
        GRANT EXECUTE ON FUNCTION penstock_make_month(date), penstock_drop_month(text, date) TO penstock_writer;
    END IF;
    -- Applications: what became of messages, and not the keys by which they are told apart.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'penstock_reader') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO penstock_reader', current_schema());
        GRANT SELECT
            ON messages, message_statuses, duplicates, message_attachments, dead_letters
            TO penstock_reader;
    END IF;
END $$;
