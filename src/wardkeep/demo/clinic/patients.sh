# The database's people and patients. Every patient is invented; `reporting` is the account that somebody opened once.
runuser -u postgres -- psql -X -q -v ON_ERROR_STOP=1 <<C
create role portal login password '$PORTAL_PASSWORD';
create role reporting login;
create database clinic;
\c clinic
create table patients (id int primary key, name text, born date, diagnosis text, pin text);
insert into patients values
  (1, 'Mara Lindqvist', '1961-03-14', 'type 2 diabetes', '4821'),
  (2, 'Tomas Adeyemi', '1984-11-02', 'asthma', '9037'),
  (3, 'Ines Calloway', '1990-07-23', 'depression', '1175'),
  (4, 'Hector Brandvold', '1952-01-30', 'heart failure', '6602'),
  (5, 'Priya Venkataraghavan', '1978-05-19', 'hepatitis C', '3948'),
  (6, 'Jonas Eberhardt', '2001-09-08', 'epilepsy', '7713');
grant select on patients to portal, reporting;
C
