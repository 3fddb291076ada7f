mod check;
mod parents;
mod prepare;
mod services;
