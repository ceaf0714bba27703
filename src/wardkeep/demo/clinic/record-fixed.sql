select name, born, diagnosis from patients where id::text = :'id' and pin = :'pin';
