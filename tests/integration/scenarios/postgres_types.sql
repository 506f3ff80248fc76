-- postgres_types.json holds what Debezium 3.6.3 (pgoutput, PostgreSQL 15) sends for these rows.
CREATE SCHEMA inv;
CREATE TYPE inv.mood AS ENUM ('sad','ok','happy');
CREATE DOMAIN inv.posint AS integer CHECK (VALUE > 0);
CREATE DOMAIN inv.price AS numeric(10,2);
CREATE TYPE inv.point3 AS (x int, y int, z int);
CREATE TABLE inv.t_num (
  id int PRIMARY KEY, si smallint, i int NOT NULL, bi bigint, nn numeric, n52 numeric(5,2) NOT NULL, n50 numeric(5,0),
  n38 numeric(38,10), r real, d double precision, m money, ss smallserial, s serial, bs bigserial, dom inv.posint, pr inv.price,
  def_i int DEFAULT 42, def_nn int NOT NULL DEFAULT -7, def_num numeric(6,3) DEFAULT 1.500, def_d double precision DEFAULT 2.5, o oid);
CREATE TABLE inv.t_text (
  id int PRIMARY KEY, c char, c5 char(5), vc varchar, vc10 varchar(10) NOT NULL, t text, n name, j json, jb jsonb, x xml, u uuid,
  by bytea, b1 bit, b8 bit(8), bv bit varying(12), bool boolean, en inv.mood, def_t text DEFAULT 'hey ''q''', def_b boolean DEFAULT true,
  def_en inv.mood DEFAULT 'ok', def_u uuid DEFAULT '00000000-0000-0000-0000-000000000001');
CREATE TABLE inv.t_time (
  id int PRIMARY KEY, d date, t time, t3 time(3), t0 time(0), tz timetz, ts timestamp, ts0 timestamp(0), ts3 timestamp(3), ts6 timestamp(6),
  tsz timestamptz, tsz3 timestamptz(3), iv interval, ivy interval year to month, def_ts timestamp DEFAULT '2020-01-02 03:04:05.678901', def_d date DEFAULT '1999-12-31');
CREATE TABLE inv.t_net (id int PRIMARY KEY, i inet, c cidr, m macaddr, m8 macaddr8, p point, tsq tsquery, tsv tsvector, l pg_lsn);
CREATE TABLE inv.t_arr (id int PRIMARY KEY, ia int[], ba bigint[], ta text[], va varchar(5)[], na numeric(6,2)[], da date[], tsa timestamp[], boola boolean[], ua uuid[], ea inv.mood[], ra real[], dbl double precision[], ja jsonb[], cha char(3)[], bya bytea[]);
CREATE TABLE inv.t_range (id int PRIMARY KEY, i4 int4range, i8 int8range, nr numrange, tr tsrange, tzr tstzrange, dr daterange);
INSERT INTO inv.t_num VALUES
 (1, 1, 2, 3, 4.56, 7.89, 12345, 1234567890.0123456789, 1.25, 2.5, '$12.34', DEFAULT, DEFAULT, DEFAULT, 5, 9.99, DEFAULT, DEFAULT, DEFAULT, DEFAULT, 42),
 (2, -32768, -2147483648, -9223372036854775808, -0.0000000001, -999.99, -99999, -9999999999999999999999999999.9999999999, -3.4e38, -1.7976931348623157e308, '-$92233720368547.58', DEFAULT, DEFAULT, DEFAULT, 1, -1.00, NULL, 0, NULL, NULL, 0),
 (3, 32767, 2147483647, 9223372036854775807, 123456789012345678901234567890.123456789, 999.99, 99999, 9999999999999999999999999999.9999999999, 3.4e38, 1.7976931348623157e308, '$92233720368547.58', DEFAULT, DEFAULT, DEFAULT, 2147483647, 99999999.99, 1, 1, 0.001, 1e-300, 4294967295),
 (4, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, DEFAULT, DEFAULT, DEFAULT, NULL, NULL, NULL, 0, NULL, NULL, NULL),
 (5, 0, 0, 0, 0, 0.00, 0, 0, 0, 0, '$0.00', DEFAULT, DEFAULT, DEFAULT, 1, 0, 0, 0, 0, 0, 1),
 (6, 0, 0, 0, 100, 0.10, 100, 1e10, 1e-30, 5e-324, '$0.01', DEFAULT, DEFAULT, DEFAULT, 1, 0.01, 0, 0, 0, 0, 1);
INSERT INTO inv.t_text VALUES
 (1,'a','ab','varchar','ten','plain text','a_name','{"a": 1, "b":[1,2]}','{"b":[1,2],"a":1}','<a>1</a>','0d2b9c8e-3f4a-4b5c-8d6e-7f8091a2b3c4','\x00ff10', B'1', B'10101010', B'101', true,'happy',DEFAULT,DEFAULT,DEFAULT,DEFAULT),
 (2,'é','日本','üñïçødé 😀','',E'tab\tnl\nquote"back\\slash','ÿ','null','null','<é/>','FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF','', B'0', B'00000000', B'', false,'sad',DEFAULT,DEFAULT,DEFAULT,DEFAULT),
 (3,NULL,NULL,NULL,'x',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
 (4,' ','   ','  lead','trail  ',repeat('abc',100),'n','[ ]','"str"','<!-- c -->','00000000-0000-0000-0000-000000000000','\xdeadbeef', B'1', B'00000001', B'111111111111', true,'ok','x',false,'sad',NULL);
INSERT INTO inv.t_time VALUES
 (1,'2024-02-29','12:34:56.789012','12:34:56.789','12:34:56','12:34:56.789012+02:30','2024-02-29 12:34:56.789012','2024-02-29 12:34:56','2024-02-29 12:34:56.789','2024-02-29 12:34:56.789012','2024-02-29 12:34:56.789012+05:30','2024-02-29 12:34:56.789-08','1 year 2 months 3 days 04:05:06.789012','3 years 7 months',DEFAULT,DEFAULT),
 (2,'1969-12-31','00:00:00','00:00:00','00:00:00','00:00:00+00','1969-12-31 23:59:59.999999','1969-12-31 23:59:59','1969-12-31 23:59:59.999','1969-12-31 23:59:59.999999','1969-12-31 23:59:59.999999+00','1970-01-01 00:00:00+00','-1 year -2 mons +3 days -04:05:06','-3 years',DEFAULT,DEFAULT),
 (3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
 (4,'0001-01-01','24:00:00','23:59:59.999','23:59:59','23:59:59.999999-12','0001-01-01 00:00:00','0001-01-01 00:00:00','0001-01-01 00:00:00','0001-01-01 00:00:00','0001-01-01 00:00:00+00','0001-01-01 00:00:00+00','0','0',DEFAULT,DEFAULT),
 (5,'9999-12-31','23:59:59.999999','12:00:00.001','12:00:00','12:00:00.1+14','9999-12-31 23:59:59.999999','9999-12-31 23:59:59','9999-12-31 23:59:59.999','9999-12-31 23:59:59.999999','9999-12-31 23:59:59.999999+00','9999-12-31 23:59:59.999+00','178000000 years','1 mon',DEFAULT,DEFAULT);
INSERT INTO inv.t_net VALUES
 (1,'192.168.1.5/24','10.0.0.0/8','08:00:2b:01:02:03','08:00:2b:01:02:03:04:05','(1.5,-2.25)','fat & rat','a fat cat','16/B374D848'),
 (2,'::1','2001:db8::/32','ff:ff:ff:ff:ff:ff','ff:ff:ff:ff:ff:ff:ff:ff','(0,0)','''x y'':*','''x'':1A,3','0/0'),
 (3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO inv.t_arr VALUES
 (1,'{1,2,3}','{9223372036854775807}','{a,"b c",NULL,"q\"q","","NULL"}','{abc,de}','{1.10,-2.25}','{2024-01-01,1970-01-01}','{"2024-01-01 01:02:03.456789"}','{t,f}','{0d2b9c8e-3f4a-4b5c-8d6e-7f8091a2b3c4}','{sad,happy}','{1.5,2.5}','{1.5e300}','{"{\"a\": 1}"}','{abc,d}','{"\\x0102"}'),
 (2,'{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}'),
 (3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO inv.t_range VALUES
 (1,'[1,10)','(5,100]','[1.5,2.5]','[2024-01-01 00:00,2024-02-01 00:00)','[2024-01-01 00:00+00,2024-02-01 00:00+00]','[2024-01-01,2024-12-31]'),
 (2,'empty','(,5]','(,)','(,2024-01-01 00:00)','[2024-01-01 00:00+00,)','empty'),(3,NULL,NULL,NULL,NULL,NULL,NULL);
