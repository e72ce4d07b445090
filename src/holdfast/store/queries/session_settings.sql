-- What every session of Holdfast's has, whatever the server's defaults. The number is milliseconds.
set synchronous_commit = on;
set default_transaction_isolation = 'read committed';
set statement_timeout = %d;
set idle_in_transaction_session_timeout = 60000;
set jit = off;
set timezone = 'UTC'
