-- Foreign keys of every sort, and constraints that were never checked against old rows.
ALTER TABLE shop.customer ADD CONSTRAINT customer_country_fkey FOREIGN KEY (country) REFERENCES shop.country ON UPDATE CASCADE;
ALTER TABLE shop.customer ADD CONSTRAINT customer_recommended_by_fkey FOREIGN KEY (recommended_by) REFERENCES shop.customer ON DELETE SET NULL;
ALTER TABLE shop.customer ADD CONSTRAINT customer_main_address_fkey FOREIGN KEY (main_address) REFERENCES shop.address
    DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE shop.address ADD CONSTRAINT address_customer_fkey FOREIGN KEY (customer_id) REFERENCES shop.customer ON DELETE CASCADE;
ALTER TABLE shop.product_image ADD FOREIGN KEY (product_id) REFERENCES shop.product ON DELETE CASCADE;
ALTER TABLE shop.product_category ADD FOREIGN KEY (product_id) REFERENCES shop.product, ADD FOREIGN KEY (category_id) REFERENCES shop.category;
ALTER TABLE shop.product_supplier ADD FOREIGN KEY (product_id) REFERENCES shop.product, ADD FOREIGN KEY (supplier_id) REFERENCES shop.supplier;
ALTER TABLE shop.orders ADD FOREIGN KEY (customer_id) REFERENCES shop.customer;
ALTER TABLE shop.order_line ADD PRIMARY KEY (order_id, line, ordered_on, region);
ALTER TABLE shop.order_line ADD CONSTRAINT order_line_order_fkey FOREIGN KEY (order_id) REFERENCES shop.orders;
ALTER TABLE shop.order_line ADD CONSTRAINT order_line_product_fkey FOREIGN KEY (product_id) REFERENCES shop.product;
ALTER TABLE shop.payment ADD FOREIGN KEY (order_id) REFERENCES shop.orders;
ALTER TABLE shop.shipment ADD FOREIGN KEY (order_id) REFERENCES shop.orders, ADD FOREIGN KEY (warehouse_id) REFERENCES shop.warehouse;
ALTER TABLE shop.coupon_redemption ADD FOREIGN KEY (coupon) REFERENCES shop.coupon, ADD FOREIGN KEY (order_id) REFERENCES shop.orders;
ALTER TABLE shop.review ADD FOREIGN KEY (product_id) REFERENCES shop.product, ADD FOREIGN KEY (customer_id) REFERENCES shop.customer MATCH FULL;
ALTER TABLE shop.stock ADD PRIMARY KEY (product_id, warehouse_id);
-- Two tables that cannot be filled in any order with their keys in place.
ALTER TABLE shop.employee ADD CONSTRAINT employee_department_fkey FOREIGN KEY (department_id) REFERENCES shop.department
    DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE shop.department ADD CONSTRAINT department_head_fkey FOREIGN KEY (head) REFERENCES shop.employee;
ALTER TABLE shop.employee ADD CONSTRAINT employee_mail_key UNIQUE (mail) DEFERRABLE;
-- Old rows break these; they hold for new rows only.
ALTER TABLE shop.supplier_contact ADD CONSTRAINT supplier_contact_supplier_fkey
    FOREIGN KEY (supplier_id) REFERENCES shop.supplier NOT VALID;
ALTER TABLE shop.setting ADD CONSTRAINT setting_value_not_blank CHECK (value <> '' AND value <> ' ') NOT VALID;
ALTER TABLE shop.person ADD CONSTRAINT person_only_here CHECK (name <> 'Employee') NO INHERIT;
ALTER TABLE shop.order_line ADD CONSTRAINT order_line_price_check CHECK (price >= 0);
