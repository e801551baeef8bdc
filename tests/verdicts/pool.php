<?php // A page that asks a backend over a persistent connection.
$backend = pfsockopen('127.0.0.1', 7070, $number, $message, 10);
fwrite($backend, "question\n");
echo fread($backend, 100);
